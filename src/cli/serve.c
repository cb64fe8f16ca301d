/* serve.c - `mailweir serve [-c FILE] [--try]`: the service, in the foreground. */
#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "process/process.h"

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

/* --try: certificate, state and whatever else the service makes lie in one directory, which goes away with it. */
static int try_out(struct serve_options *options)
{
    const char *base = getenv("TMPDIR");
    char dir[512];
    snprintf(dir, sizeof dir, "%s/mailweir-try-XXXXXX", base && base[0] == '/' ? base : "/tmp");
    if (!mkdtemp(dir)) {
        fprintf(stderr, "mailweir serve: cannot make a directory %s: %s\n", dir, strerror(errno));
        return CLI_NO;
    }
    options->try_dir = dir;
    fprintf(stderr, "mailweir: trying out: ports 2587 and 2465 stand for 587 and 465, everything made lies in %s\n",
            dir);
    fprintf(stderr, "mailweir: ask it, while it runs: mailweir status --control %s/control\n", dir);
    int code = process_serve(options);
    nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    options->try_dir = NULL;
    return code;
}

int cli_serve(int argc, char **argv)
{
    struct serve_options options = {.config_path = CLI_DEFAULT_CONFIG};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--try") == 0)
            options.is_try = true;
        else if (strcmp(argv[i], "-c") == 0 && i + 1 < argc)
            options.config_path = argv[++i];
        else if (strcmp(argv[i], "-c") == 0)
            return cli_usage("serve", "-c needs a file");
        else
            return cli_usage("serve", "unknown argument %s", argv[i]);
    }
    return options.is_try ? try_out(&options) : process_serve(&options);
}

/* certificate_keeper.c - see certificate_keeper.h. */
#include "process/certificate_keeper.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file_stamp.h"
#include "base/log.h"

enum {
    TRIES = 2,             /* looks at which new files may be wrong before it is said */
    CERTIFICATE_FILES = 3, /* chain, key, and who signs the certificates of clients */
};

struct kept_certificate {
    struct file_stamp stamps[CERTIFICATE_FILES]; /* as they were last read, well or not */
    unsigned failures;                           /* since they were good */
    bool is_unsent;
};

struct certificate_keeper {
    struct loop *loop;
    struct timer look;
    int64_t look_ms;
    const struct tls_certificate *files;
    size_t count;
    bool is_hushed;
    bool (*send)(void *arg, size_t index, int image);
    void *arg;
    int *images; /* [count] */
    struct kept_certificate kept[];
};

/* path: NULL, a file that there need not be. */
static struct file_stamp stamp_of(const char *path)
{
    struct stat st;
    if (!path || stat(path, &st) != 0)
        return (struct file_stamp){.reason = path ? errno : 0};
    return file_stamp_of(&st);
}

/* Looks at the files of one. True: they are as they were. */
static bool take_stamps(const struct tls_certificate *files, struct kept_certificate *c)
{
    const char *const paths[CERTIFICATE_FILES] = {files->certificate_file, files->key_file, files->client_ca_file};
    bool is_same = true;
    for (int i = 0; i < CERTIFICATE_FILES; i++) {
        struct file_stamp now = stamp_of(paths[i]);
        is_same = file_stamp_equal(&now, &c->stamps[i]) && is_same;
        c->stamps[i] = now;
    }
    return is_same;
}

static void read_anew(struct certificate_keeper *k, size_t i)
{
    struct kept_certificate *c = &k->kept[i];
    const struct tls_certificate *files = &k->files[i];
    struct err err = {0};
    int image = tls_certificate_image(files, &err);
    if (image < 0) {
        if (++c->failures == TRIES && !k->is_hushed)
            log_error("the certificate %s keeps its last good content: %s", files->certificate_file, err.text);
        return;
    }
    c->failures = 0;
    if (k->images[i] >= 0)
        close(k->images[i]);
    k->images[i] = image;
    c->is_unsent = true;
    if (!k->is_hushed)
        log_info("the certificate %s is read anew", files->certificate_file);
}

static void look_at(struct certificate_keeper *k, size_t i)
{
    struct kept_certificate *c = &k->kept[i];
    bool is_same = take_stamps(&k->files[i], c);
    if (!is_same || (c->failures > 0 && c->failures < TRIES))
        read_anew(k, i);
    if (c->is_unsent)
        c->is_unsent = !k->send(k->arg, i, k->images[i]);
}

static void on_look_due(void *arg)
{
    struct certificate_keeper *k = arg;
    for (size_t i = 0; i < k->count; i++)
        look_at(k, i);
    timer_start(&k->look, loop_now_ms(k->loop) + k->look_ms);
}

struct certificate_keeper *certificate_keeper_new(struct loop *l, const struct tls_certificate *files, size_t count,
                                                  int64_t look_ms, bool (*send)(void *arg, size_t index, int image),
                                                  void *arg)
{
    struct certificate_keeper *k = calloc(1, sizeof *k + count * sizeof k->kept[0]);
    int *images = malloc(count * sizeof *images);
    if (!k || !images) {
        free(k);
        free(images);
        return NULL;
    }
    k->loop = l;
    k->look_ms = look_ms;
    k->files = files;
    k->count = count;
    k->send = send;
    k->arg = arg;
    k->images = images;
    for (size_t i = 0; i < count; i++) {
        k->images[i] = -1;
        (void)take_stamps(&files[i], &k->kept[i]);
    }
    timer_init(&k->look, l, on_look_due, k);
    timer_start(&k->look, loop_now_ms(l) + look_ms);
    return k;
}

const int *certificate_keeper_images(const struct certificate_keeper *k)
{
    return k->images;
}

void certificate_keeper_hush(struct certificate_keeper *k)
{
    k->is_hushed = true;
}

void certificate_keeper_free(struct certificate_keeper **at)
{
    struct certificate_keeper *k = *at;
    if (!k)
        return;
    timer_cancel(&k->look);
    for (size_t i = 0; i < k->count; i++)
        if (k->images[i] >= 0)
            close(k->images[i]);
    free(k->images);
    free(k);
    *at = NULL;
}

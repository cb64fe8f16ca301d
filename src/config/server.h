/* server.h - server statements of a checked tree become members of struct config: a row and a function each in
 * server.c. */
#ifndef CONFIG_SERVER_H
#define CONFIG_SERVER_H

#include "config/config.h"
#include "rules/print.h"

struct config_builder {
    struct config *config;
    const struct tree *tree;
    const struct config_options *options;
    struct diagnostics *diagnostics;
    bool lacks_certificates; /* a file of theirs cannot be read: said */
};

/* Fills in every member but policy. What is wrong goes to the diagnostics. is_rules_alone: a rules file by itself is
 * being checked, so neither listeners nor a relay need be there. */
void config_server_build(struct config_builder *b, bool is_rules_alone);

#endif

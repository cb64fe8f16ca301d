/* server.h - server statements of a checked tree become members of struct config: a row and a function each in
 * server.c, those of TLS in server_tls.c. */
#ifndef CONFIG_SERVER_H
#define CONFIG_SERVER_H

#include "config/builder.h"

/* Fills in every member but policy. What is wrong goes to the diagnostics. is_rules_alone: a rules file by itself is
 * being checked, so neither listeners nor a relay need be there. */
void config_server_build(struct config_builder *b, bool is_rules_alone);

/* ---- server_tls.c, for server.c ---- */

/* One `tls certificate`. */
void server_tls_build(struct config_builder *b, const struct statement *st);
/* When all statements were read: is there a certificate where one is needed, and can all be used? `--try` makes itself
 * one. */
void server_tls_check(struct config_builder *b);

#endif

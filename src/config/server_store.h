/* server_store.h - `store …`: where counts are kept. */
#ifndef CONFIG_SERVER_STORE_H
#define CONFIG_SERVER_STORE_H

#include "config/builder.h"

void server_store_defaults(struct store_config *store);
/* One of the `store` statements. */
void server_store_build(struct config_builder *b, const struct statement *st);

#endif

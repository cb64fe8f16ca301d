/* serve_tables.h - tables in files, from the configuration's side: what serve.c gives the supervisor (plan.h). */
#ifndef PROCESS_SERVE_TABLES_H
#define PROCESS_SERVE_TABLES_H

#include "config/config.h"
#include "process/plan.h"

/* Fills the plan's tables, and frees them with what is still remembered of them. False: no memory. */
MUST_USE bool serve_tables_fill(struct process_plan *plan, const struct config *cfg, struct err *err);
void serve_tables_free(struct process_plan *plan);

/* The supervisor's questions; arg is not looked at. */
bool serve_build_table(void *arg, const struct process_plan *plan, size_t table, int file, int image, struct err *err);
bool serve_take_table(void *arg, const struct process_plan *plan, size_t table, int image, struct err *err);
void serve_forget_tables(void *arg, const struct process_plan *plan);

#endif

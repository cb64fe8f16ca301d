/*
 * policy.h - rules and limits of a configuration, compiled: what policy/ask.h asks.
 *
 *   checked tree ─▶ policy_compile ─▶ struct policy (immutable, shared by all questions) ─▶ policy_ask_start
 */
#ifndef POLICY_POLICY_H
#define POLICY_POLICY_H

#include "rules/print.h"
#include "rules/tree.h"

struct lookup;
struct policy;

/* Compiles a tree that check found right. Tables of files are read (what is wrong in one is said with its own place).
 * Nothing of the tree is needed afterwards. NULL: diagnostics say why. */
struct policy *policy_compile(const struct tree *tree, struct diagnostics *d);
/* Only reads the tables of a tree that has errors elsewhere, so that one run says all that is wrong. */
void policy_check_tables(const struct tree *tree, struct diagnostics *d);
void policy_free(struct policy **policy);

/* Does some rule or limit look at this attribute? What nobody looks at need not be found out. */
bool policy_uses(const struct policy *policy, enum attribute attribute);
/* Has the phase rules? A message whose header, end or result nobody asks about need not be held for them. */
bool policy_has_rules(const struct policy *policy, enum phase phase);
/* The tables that are kept in files, in the order of the configuration. They are data beside it: between two questions
 * their content may be exchanged (lookup_exchange), and nothing else of a policy ever changes. */
size_t policy_file_table_count(const struct policy *policy);
struct lookup *policy_file_table(const struct policy *policy, size_t index);
size_t policy_rule_count(const struct policy *policy);
size_t policy_limit_count(const struct policy *policy);

#endif

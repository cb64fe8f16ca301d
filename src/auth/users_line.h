/*
 * users_line.h - one line of the users file, pure.
 *
 *   line    = [ name ":" hash [ ":" [ account ] ] ] / "#" anything / blank
 *   account = key *( " " key ) / shadow
 *   key     = "disabled" [ "=" ( "yes" / "no" ) ]
 *   shadow  = the seven fields that follow the hash in /etc/shadow, numbers or nothing
 *
 * Of these fields the end of the account (days since 1970) is heeded. The password's own ageing is not: there is no way
 * to choose a new one while submitting a mail.
 *
 * A hash that is `*`, or begins with `!`, is a locked account, as shadow(5) has it: known, never let in.
 */
#ifndef AUTH_USERS_LINE_H
#define AUTH_USERS_LINE_H

#include "auth/auth.h"

enum users_line_kind { USERS_LINE_EMPTY, USERS_LINE_USER, USERS_LINE_WRONG };

struct users_line {
    struct str name;
    struct str hash; /* without {SCHEME}; empty: a locked account without one */
    bool disabled;
    int32_t ends_on_day; /* the first day since 1970 on which it may not log in; -1: never ends */
};

/* line: without its LF; a CR at its end is dropped. What it borrows, it borrows from line. USERS_LINE_WRONG: err says
 * why, with the name, without the place. */
enum users_line_kind users_line_parse(struct str line, struct users_line *user, struct err *err);

/* Cuts a line into its first field, its second, and what follows the second (from its ':' on, with a CR), without
 * judging them: so that passwd can change one field of a file and leave every other byte. False: a comment, blank, or
 * no ':' in it. */
bool users_line_split(struct str line, struct str *name, struct str *hash, struct str *rest);

#endif

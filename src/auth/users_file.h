/*
 * users_file.h - the users file (OPERATIONS.md, "Users file"): read whole, immutable, looked up by name.
 *
 * All or nothing: one wrong line and the file is refused, with file and line. Half of the users would be worse than
 * yesterday's users: the others would be told that their password is wrong, and mail programs then forget it. Who
 * re-reads keeps the last good one (backend_file.c).
 *
 * Names are compared ignoring ASCII case; with a realm, `alice` and `alice@realm` are one name, and twice the same is
 * an error.
 */
#ifndef AUTH_USERS_FILE_H
#define AUTH_USERS_FILE_H

#include <sys/stat.h>

#include "auth/auth.h"
#include "base/hash.h"

enum { USERS_FILE_MAX_BYTES = 64 << 20, USERS_FILE_MAX_LINE_BYTES = 4096 };

struct users_file;

struct user_entry {
    struct str name; /* completed with the realm, in the file's case: the canonical name */
    struct str hash; /* empty: none (a locked account) */
    bool disabled;
    int32_t ends_on_day; /* -1: never */
    uint32_t line;
};

/* What changes when a file is written or replaced. */
struct file_stamp {
    uint64_t device, inode, size;
    int64_t modified_ns, changed_ns;
};
void file_stamp_of(const struct stat *st, struct file_stamp *stamp);
bool file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b);

/* Reads a file. realm: empty for none. stamp: may be NULL; what was read (a file that changes meanwhile is refused).
 * False: it cannot be read, is no plain file, or a line is wrong ("/etc/mailweir/users:12: bob: …", and how many more
 * are). */
MUST_USE bool users_file_load(const char *path, struct str realm, struct users_file **file, struct file_stamp *stamp,
                              struct err *err);
/* The same from memory; path is for messages only. Copies text. */
MUST_USE bool users_file_parse(struct str text, const char *path, struct str realm, struct users_file **file,
                               struct err *err);
/* Wipes what it held. Takes NULL. */
void users_file_free(struct users_file **file);

size_t users_file_count(const struct users_file *f);
/* May everybody on this machine read it? Worth a warning. */
bool users_file_is_open_to_all(const struct users_file *f);

/* NULL: no such user. name as the client gave it. Borrowed from f. */
const struct user_entry *users_file_find(const struct users_file *f, struct str name);
/* May it log in on this day (days since 1970)? */
bool user_entry_is_disabled(const struct user_entry *u, int64_t today);

/* An entry with a hash to spend time on for a name that is not there: always the same one for a name, chosen by a keyed
 * hash among all. So names that are not there cost what names that are there cost, also in a file of several kinds of
 * hashes. NULL: the file holds no hash at all. */
const struct user_entry *users_file_stand_in(const struct users_file *f, struct str name, const struct hash_key *key);

/* ---- writing (mailweir passwd) ---- */

struct users_change {
    bool created_file;
    bool added_user;
    bool is_disabled; /* the account stays disabled: a key or the end of the account says so */
};

/* Sets user's password (a new hash, see password_hash_make), adding the user at the end or the file (mode 0600) where
 * missing. Everything else stays byte for byte, as do owner and mode; a locked hash (`!…`, `*`) is replaced, which
 * unlocks it. The new file takes the old one's place by rename(2) after fsync(2): a reader sees one or the other,
 * whole. A lock on the directory keeps two writers apart; it is waited for up to 10 s. False: nothing was changed (or,
 * said so in err, it was but the disk could not be told to keep it). */
MUST_USE bool users_file_set_password(const char *path, struct str user, struct str password,
                                      struct users_change *change, struct err *err);

#endif

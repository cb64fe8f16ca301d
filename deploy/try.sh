#!/usr/bin/env bash
# Shows mailweir at work: builds it, puts it in front of a Postfix of its own, sends mail through it, and then stays up
# for your own mail until Ctrl-C.
#
#   deploy/try.sh           the show, then stay up
#   deploy/try.sh --once    the show only; 0 if every step of it happened
#
# Wants root and Debian 12. All that runs listens on 127.0.0.1, lives in one temporary directory and is gone afterwards;
# a Postfix that this machine may have is not touched.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
top=$PWD

once=
case ${1-} in
'') ;;
--once) once=1 ;;
-h | --help) sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$top/deploy/try.sh"; exit 0 ;;
*) echo "try.sh: unknown option \"$1\" (there is --once)" >&2; exit 2 ;;
esac
if [ "$(id -u)" -ne 0 ]; then
    echo "try.sh: please run it as root: the Postfix that it starts behind mailweir needs that" >&2
    exit 1
fi

bold='' green='' red='' off=''
if [ -t 1 ] && [ -z "${NO_COLOR-}" ]; then
    bold=$'\e[1m' green=$'\e[32m' red=$'\e[31m' off=$'\e[0m'
fi
number=0
step() { number=$((number + 1)); printf '\n%s%d. %s%s\n' "$bold" "$number" "$*" "$off"; }
happened() { printf '   %sdone:%s %s\n' "$green" "$off" "$*"; }
indent() { sed 's/^/   | /'; }
fail() {
    printf '   %snot done:%s %s\n' "$red" "$off" "$*" >&2
    for log in "$work/swaks.log" "$work/mailweir.log" "$work/postfix/maillog"; do
        [ ! -s "$log" ] || { echo "--- $log"; tail -n 20 "$log"; } >&2
    done
    exit 1
}

# -- what was started is stopped by its process id, in whatever way this ends

work=$(mktemp -d "${TMPDIR:-/tmp}/mailweir-try.XXXXXX")
chmod 755 "$work"
mailweir_pid=
stop_postfix() {
    local pid
    [ -f "$work/postfix/queue/pid/master.pid" ] || return 0
    pid=$(tr -dc 0-9 <"$work/postfix/queue/pid/master.pid")
    [ -n "$pid" ] && kill "$pid" 2>/dev/null || return 0
    for _ in $(seq 100); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.05
    done
    kill -KILL "$pid" 2>/dev/null || true
}
end() {
    local code=$?
    trap - EXIT
    if [ -n "$mailweir_pid" ]; then
        kill "$mailweir_pid" 2>/dev/null || true
        wait "$mailweir_pid" 2>/dev/null || true
    fi
    stop_postfix
    rm -rf "$work"
    exit "$code"
}
trap end EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

# -- ports

is_taken() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }
# port PREFERRED: that one, or the next that nobody listens on.
port() {
    local candidate=$1
    while is_taken "$candidate"; do
        candidate=$((candidate + 1))
        [ "$candidate" -lt $(($1 + 100)) ] || fail "no free port from $1 to $candidate"
    done
    [ "$candidate" = "$1" ] || echo "   (port $1 is taken; using $candidate)" >&2
    echo "$candidate"
}
# wait_for_port PORT PID WHAT: until it answers; fails if the process ends first.
wait_for_port() {
    for _ in $(seq 200); do
        is_taken "$1" && return 0
        [ -z "$2" ] || kill -0 "$2" 2>/dev/null || fail "$3 ended at once"
        sleep 0.05
    done
    fail "$3 does not answer on port $1"
}

step "Building a release (build/release)"
bash deploy/dependencies.sh --try
options=(-DMAILWEIR_BENCH=OFF)
pkg-config --exists cmocka || options+=(-DMAILWEIR_TESTS=OFF) # the unit tests need it, mailweir does not
if ! { cmake --preset release -G Ninja "${options[@]}" && ninja -C build/release mailweir; } >"$work/build.log" 2>&1; then
    tail -n 30 "$work/build.log" >&2
    fail "the build; its log is above"
fi
mailweir=$top/build/release/mailweir
happened "$("$mailweir" --version)"

starttls=$(port 2587) implicit=$(port 2465) behind=$(port 2600)

step "Starting a mail server to stand behind: a private Postfix on 127.0.0.1:$behind"
mkdir -p "$work"/postfix/{etc,queue,data,mail}
cp -r /etc/postfix/postfix-files* /etc/postfix/dynamicmaps.cf "$work/postfix/etc/"
chown postfix: "$work/postfix/data"
chown nobody: "$work/postfix/mail"
cat >"$work/postfix/etc/main.cf" <<CONF
compatibility_level = 3.6
queue_directory = $work/postfix/queue
data_directory = $work/postfix/data
command_directory = /usr/sbin
daemon_directory = /usr/lib/postfix/sbin
maillog_file = $work/postfix/maillog
maillog_file_prefixes = $work
multi_instance_name = mailweir-try
myhostname = behind.example.org
inet_interfaces = 127.0.0.1
inet_protocols = ipv4
mynetworks = 127.0.0.0/8
mydestination =
alias_maps =
smtpd_relay_restrictions = permit_mynetworks, reject
smtpd_authorized_xforward_hosts = 127.0.0.0/8
smtpd_tls_security_level = none
smtpd_peername_lookup = no
message_size_limit = 52428800
virtual_mailbox_limit = 0
virtual_mailbox_domains = static:all
virtual_mailbox_base = $work/postfix/mail
virtual_mailbox_maps = static:box/
virtual_minimum_uid = 100
virtual_uid_maps = static:$(id -u nobody)
virtual_gid_maps = static:$(id -g nobody)
CONF
{
    echo "127.0.0.1:$behind inet n - n - - smtpd"
    for service in 'pickup n - n 60 1' 'cleanup n - n - 0' 'qmgr n - n 300 1' 'rewrite - - n - -' 'bounce - - n - 0' 'defer - - n - 0' \
        'trace - - n - 0' 'verify - - n - 1' 'flush n - n 1000? 0' 'proxymap - - n - -' 'smtp - - n - -' 'error - - n - -' \
        'retry - - n - -' 'discard - - n - -' 'virtual - n n - -' 'anvil - - n - 1' 'scache - - n - 1'; do
        read -r name rest <<<"$service"
        program=$name
        case $name in
        rewrite) program=trivial-rewrite ;;
        defer | trace) program=bounce ;;
        retry) program=error ;;
        esac
        echo "$name unix $rest $program"
    done
    echo "postlog unix-dgram n - n - 1 postlogd"
} >"$work/postfix/etc/master.cf"
postfix -c "$work/postfix/etc" start >"$work/postfix/start.log" 2>&1 || { cat "$work/postfix/start.log" >&2; fail "starting Postfix"; }
wait_for_port "$behind" "" Postfix
happened "its mailbox is $work/postfix/mail/box"

step "Starting mailweir in front: STARTTLS on port $starttls (as 587), TLS on port $implicit (as 465)"
cat >"$work/mailweir.conf" <<CONF
hostname mail.example.org
listen submission 127.0.0.1:$starttls
listen submissions 127.0.0.1:$implicit
auth file "users"
relay to 127.0.0.1:$behind
events "events.jsonl"
state "state"

limit a-minute per user count messages { 3/1m }
on rcpt { rule no-relay reject 550 5.7.1 "Relaying denied" unless authenticated }
CONF
mkdir "$work/state"
password=$(od -An -N6 -tx1 /dev/urandom | tr -d ' \n')
for user in alice@example.org bob@example.org you@example.org; do
    printf '%s\n' "$password" | "$mailweir" passwd "$user" --file "$work/users" >/dev/null 2>"$work/mailweir.log" || fail "mailweir passwd $user"
done
"$mailweir" check "$work/mailweir.conf" >"$work/mailweir.log" 2>&1 || fail "mailweir check"
"$mailweir" serve --try -c "$work/mailweir.conf" >"$work/mailweir.log" 2>&1 </dev/null &
mailweir_pid=$!
wait_for_port "$starttls" "$mailweir_pid" mailweir
wait_for_port "$implicit" "$mailweir_pid" mailweir
happened "the configuration that it runs:"
indent <"$work/mailweir.conf"

# send SUBJECT SWAKS-OPTION…: runs swaks; its exit code. What was said is in swaks.log.
send() {
    local subject=$1
    shift
    swaks --server 127.0.0.1 --helo client.example --header "Subject: $subject" --body "Sent through mailweir." --timeout 20 "$@" >"$work/swaks.log" 2>&1 </dev/null
}
by_starttls=(--port "$starttls" --tls) by_tls=(--port "$implicit" --tlsc)
alice=(--from alice@example.org --to friend@example.net --auth PLAIN --auth-user alice@example.org --auth-password "$password")
bob=(--from bob@example.org --to friend@example.net --auth LOGIN --auth-user bob@example.org --auth-password "$password")

# replied CODE: did the server say that? Shows the line.
replied() {
    local line
    line=$(grep -E "^<[-~ *]+ $1" "$work/swaks.log" | tail -n 1 | sed -E 's/^<[-~ *]+ *//')
    [ -n "$line" ] || return 1
    printf '%s\n' "$line" | indent
}
in_mailbox() { grep -ls "^Subject: $1\$" "$work"/postfix/mail/box/new/* 2>/dev/null | head -n 1; }
# arrives SUBJECT: waits for the mail and prints it.
arrives() {
    local file
    for _ in $(seq 100); do
        file=$(in_mailbox "$1") || true
        [ -z "$file" ] || { indent <"$file"; return 0; }
        sleep 0.1
    done
    fail "the mail did not arrive in the mailbox"
}

step "alice sends a mail by STARTTLS; it arrives"
send "by STARTTLS" "${by_starttls[@]}" "${alice[@]}" || fail "swaks"
replied '250 2\.0\.0' || fail "no 250 for the mail"
arrives "by STARTTLS"
happened "accepted by mailweir after Postfix took it, and in the mailbox"

step "alice sends a mail by implicit TLS; it arrives"
send "by implicit TLS" "${by_tls[@]}" "${alice[@]}" || fail "swaks"
replied '250 2\.0\.0' || fail "no 250 for the mail"
arrives "by implicit TLS"
happened "the same on the other port"

step "A stranger wants to relay"
send "from a stranger" "${by_starttls[@]}" --from stranger@far.example --to victim@elsewhere.example && fail "it was accepted"
replied '5[0-9][0-9] 5\.7\.' || fail "it was not refused for the right reason"
[ -z "$(in_mailbox "from a stranger")" ] || fail "it was delivered"
happened "refused, nothing was delivered"

step "Somebody tries a wrong password"
send "wrong password" "${by_starttls[@]}" --from alice@example.org --to friend@example.net --auth PLAIN \
    --auth-user alice@example.org --auth-password "not $password" && fail "it was accepted"
replied '535 5\.7\.8' || fail "it was not refused for the right reason"
wrong=$(replied '535')
send "unknown user" "${by_starttls[@]}" --from alice@example.org --to friend@example.net --auth PLAIN \
    --auth-user mallory@example.org --auth-password "$password" && fail "it was accepted"
[ "$(replied '535')" = "$wrong" ] || fail "an unknown user reads something else"
[ -z "$(in_mailbox "wrong password")$(in_mailbox "unknown user")" ] || fail "it was delivered"
happened "refused, and an unknown user read the very same"

step "bob sends more than his limit of 3 mails a minute"
for count in 1 2 3; do
    send "bob's number $count" "${by_starttls[@]}" "${bob[@]}" || fail "mail $count was not accepted"
    replied '250 2\.0\.0' || fail "no 250 for mail $count"
done
send "bob's number 4" "${by_starttls[@]}" "${bob[@]}" && fail "the fourth was accepted"
replied '45[01] 4\.7\.1 .*try again in [0-9]+' || fail "it was not refused with the time to wait"
for count in 1 2 3; do
    for _ in $(seq 100); do
        [ -z "$(in_mailbox "bob's number $count")" ] || continue 2
        sleep 0.1
    done
    fail "his mail number $count did not arrive"
done
[ -z "$(in_mailbox "bob's number 4")" ] || fail "the fourth was delivered"
happened "three arrived, the fourth was told which limit it met and when to try again"

step "What mailweir wrote down about it (events.jsonl)"
grep '"event":"mail"' "$work/events.jsonl" | tail -n 1 | indent
[ "$(grep -c '"verdict":"accept"' "$work/events.jsonl")" -eq 5 ] || fail "there should be 5 accepted mails in it"
happened "one JSON line for each mail, login and connection"

step "What an administrator asks while it runs"
control=$(sed -n 's/.*mailweir status --control //p' "$work/mailweir.log" | head -n 1)
"$mailweir" status --control "$control" >"$work/status" 2>&1 || { cat "$work/status"; fail "mailweir status"; }
indent <"$work/status"
"$mailweir" limits bob@example.org --control "$control" >"$work/limits" 2>&1 || { cat "$work/limits"; fail "mailweir limits"; }
indent <"$work/limits"
grep -q 'a-minute.* of 3 in 1m' "$work/limits" || fail "bob's limit should be there"
happened "how the service is, and how much of his limit bob has used"

kill -0 "$mailweir_pid" 2>/dev/null || fail "mailweir has ended"
if [ -n "$once" ]; then
    printf '\n%sAll steps happened.%s\n' "$green" "$off"
    exit 0
fi
cat <<TEXT

${bold}It stays up until Ctrl-C. Send a mail of your own:${off}

    swaks --server 127.0.0.1 --port $starttls --tls --auth PLAIN --auth-user you@example.org --auth-password $password \\
          --from you@example.org --to friend@example.net --body 'Hello.'

    or with --port $implicit --tlsc; mails are in $work/postfix/mail/box/new/, events in $work/events.jsonl
    (you may send 3 mails a minute; see how much is used, or change $work/mailweir.conf and go on with it:)

    $mailweir status --control $control
    $mailweir limits you@example.org --control $control
    $mailweir reload --control $control
TEXT
# wait is interrupted by the signals above; if mailweir ends by itself, that is a failure.
wait "$mailweir_pid" || true
mailweir_pid=
fail "mailweir has ended by itself"

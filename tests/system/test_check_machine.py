"""What a configuration needs of its machine: `check` warns, `serve` and `reload` refuse, in the same words at the same place."""
import grp
import json
import os
import pathlib
import pwd
import socket
import subprocess

import pytest

from harness.mailweir import BINARY, USER, run

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")


def findings(config, **options):
    """{(line, message, hint)} of what check says, and its answer."""
    done = run("check", "--json", config, **options)
    answer = json.loads(done.stdout)
    assert done.returncode == 0 and answer["errors"] == [], done
    return {(w["line"], w["message"], w["hint"]) for w in answer["warnings"]}, answer


def line_of(weir, text):
    return next(n for n, line in enumerate(weir.config.read_text().splitlines(), 1) if text in line)


def closed(folder):
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def file_of_root(path, text="x\n", mode=0o600):
    path.write_text(text)
    path.chmod(mode)
    return path


def group():
    return grp.getgrgid(pwd.getpwnam(USER).pw_gid).gr_name


def users_of_root(weir):
    os.chown(weir.users, 0, 0)
    return "auth file", 'the user "nobody" cannot read "%s": Permission denied' % weir.users, \
        'let it: chgrp %s "%s" && chmod g+r "%s"' % (group(), weir.users, weir.users)


def users_in_a_closed_folder(weir):
    folder = closed(weir.directory / "secret")
    weir.users.rename(folder / "users")
    weir.config.write_text(weir.config.read_text().replace('auth file "users"', 'auth file "secret/users"'))
    return "auth file", 'the user "nobody" cannot read "%s/users": Permission denied' % folder, \
        'it may not enter "%s": setfacl -m u:nobody:x "%s", or keep the file elsewhere' % (folder, folder)


def ca_of_redis(weir):
    ca = file_of_root(weir.directory / "ca.pem", pathlib.Path(weir.certificate[0]).read_text())
    weir.write_config(server='store redis "rediss://127.0.0.1:1" { ca "ca.pem" }')
    return "ca.pem", 'the user "nobody" cannot read "%s": Permission denied' % ca, \
        'let it: chgrp %s "%s" && chmod g+r "%s"' % (group(), ca, ca)


def ca_of_the_relay_is_none(weir):
    ca = file_of_root(weir.directory / "ca.pem", "nothing\n")
    weir.config.write_text(weir.config.read_text().replace("\nrelay to 127.0.0.1:1\n", '\nrelay to 127.0.0.1:1 { tls verify  ca "ca.pem" }\n'))
    return "ca.pem", "%s: no certificate or crl found" % ca, None


def program_of_root(weir):
    program = file_of_root(weir.directory / "pager", "#!/bin/sh\n", 0o700)
    weir.write_config(server='alert ops exec "%s"' % program, rules="on mail { rule a alert ops }\n")
    return "alert ops", 'the user "nobody" cannot run "%s": Permission denied' % program, 'let it: chmod a+rx "%s"' % program


def events_of_root(weir):
    file_of_root(weir.event_file)
    return "events", 'the user "nobody" cannot write to "%s": Permission denied' % weir.event_file, \
        'let it: chown nobody "%s"' % weir.event_file


def events_in_a_folder_of_root(weir):
    (weir.directory / "log2").mkdir(mode=0o755)
    weir.config.write_text(weir.config.read_text().replace("log/events", "log2/events"))
    return "events", 'the user "nobody" cannot write to "%s/log2/events.jsonl": Permission denied' % weir.directory, \
        'let it write there: chown nobody "%s/log2"' % weir.directory


def events_nowhere(weir):
    weir.config.write_text(weir.config.read_text().replace("log/events", "nowhere/events"))
    return "events", 'the user "nobody" cannot write to "%s/nowhere/events.jsonl": No such file or directory' % weir.directory, \
        'make the folder "%s/nowhere"' % weir.directory


def state_nowhere(weir):
    weir.config.write_text(weir.config.read_text().replace('state "state"', 'state "nowhere/state"'))
    return "state ", 'cannot make the state directory "%s/nowhere/state": No such file or directory' % weir.directory, None


def state_is_a_file(weir):
    weir.config.write_text(weir.config.read_text().replace('state "state"', 'state "users"'))
    return "state ", 'the state directory "%s" is no directory' % weir.users, None


def pidfile_nowhere(weir):
    weir.write_config(server='pidfile "/nowhere/pid"')
    return "pidfile", 'cannot make the pidfile "/nowhere/pid": No such file or directory', None


def nobody_there(weir):
    weir.config.write_text(weir.config.read_text().replace("user nobody", "user no-such-user"))
    return "user ", 'there is no user "no-such-user" for the processes to run as', \
        "make it (useradd --system --user-group no-such-user), or name another with `user NAME`"


def address_of_others(weir):
    weir.write_config(server="listen smtp 192.0.2.77:2525 { name far }")
    return "far", "cannot listen at 192.0.2.77:2525: Cannot assign requested address", \
        "no network interface of this machine has that address: see ip addr"


def password_missing(weir):
    weir.write_config(server='store redis "redis://127.0.0.1:1" { user "mw"  password-file "nowhere" }')
    return "password-file", 'cannot read "%s/nowhere": No such file or directory' % weir.directory, None


CASES = (users_of_root, users_in_a_closed_folder, ca_of_redis, ca_of_the_relay_is_none, program_of_root, events_of_root,
         events_in_a_folder_of_root, events_nowhere, state_nowhere, state_is_a_file, pidfile_nowhere, nobody_there, address_of_others,
         password_missing)


@pytest.mark.parametrize("spoil", CASES, ids=lambda spoil: spoil.__name__)
def test_check_says_what_would_stop_serve(start_mailweir, spoil):
    weir = start_mailweir(1, run=False, listeners=("submission", "smtp"))
    seen, answer = findings(weir.config)
    assert seen == set() and answer["starts_here"] is True
    words, message, hint = spoil(weir)
    line = line_of(weir, words)
    seen, answer = findings(weir.config)
    assert (line, message, hint) in seen and answer["starts_here"] is False
    done = run("check", weir.config)
    assert done.returncode == 0 and "`mailweir serve` would not start with it on this machine: 1 of these warnings is an error there." in done.stdout
    done = run("serve", "-c", weir.config)
    assert done.returncode == 1, done
    assert "mailweir.conf:%d:" % line in done.stderr and "error: " + message in done.stderr and (hint or "") in done.stderr


def test_more_endpoints_than_there_may_be_and_one_twice(start_mailweir):
    weir = start_mailweir(1, run=False, listeners=("submission", "smtp"))
    weir.write_config(server="listen smtp %s { name many }" % " ".join("127.0.0.1:%d" % port for port in range(20001, 20064)))
    done = run("check", weir.config)
    assert done.returncode == 1 and "more than 64 endpoints to listen at" in done.stderr and done.stderr.count("error") == 1, done
    weir.write_config(server="listen smtp 127.0.0.1:%d { name again }" % weir.smtp)
    done = run("check", weir.config)
    assert done.returncode == 1 and "error: two listeners have the endpoint 127.0.0.1:%d" % weir.smtp in done.stderr, done


def test_a_socket_that_the_user_may_not_connect_to_is_a_warning_only(start_mailweir):
    """The server behind it may be mended while we run; one whose file is not there may come later."""
    weir = start_mailweir(1, run=False, listeners=("submission", "smtp"))
    path = weir.directory / "redis.sock"
    weir.write_config(server='store redis "unix:%s"' % path)
    assert findings(weir.config)[0] == set()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(path))
        path.chmod(0o660)
        seen, answer = findings(weir.config)
    assert seen == {(line_of(weir, "redis.sock"), 'the user "nobody" cannot connect to "%s": Permission denied' % path,
                     'make it a member of the socket\'s group (ls -l "%s"), or open the socket to it' % path)}
    assert answer["starts_here"] is True


def test_events_that_cannot_be_rotated_are_a_warning_only(start_mailweir):
    weir = start_mailweir(1, run=False, listeners=("submission", "smtp"))
    file_of_root(weir.event_file, "")
    os.chown(weir.event_file, pwd.getpwnam(USER).pw_uid, -1)
    os.chown(weir.event_file.parent, 0, 0)
    weir.config.write_text(weir.config.read_text().replace('events.jsonl"', 'events.jsonl" { rotate 1M }'))
    seen, answer = findings(weir.config)
    assert [message for _, message, _ in seen] == ['the user "nobody" cannot rotate "%s": Permission denied' % weir.event_file]
    assert answer["starts_here"] is True


def test_a_reload_is_refused_in_the_same_words(start_mailweir, mta):
    weir = start_mailweir(mta)
    _, message, hint = users_of_root(weir)
    done = run("reload", "--control", weir.control)
    assert done.returncode == 1 and "error: " + message in done.stderr and hint in done.stderr, done
    event = weir.events("reload")[-1]
    assert event["result"] == "failed"


def test_what_only_root_can_see_is_left_out_and_said(start_mailweir):
    weir = start_mailweir(1, run=False, listeners=("submission", "smtp"))
    os.chown(weir.users, 0, 0)
    somebody = pwd.getpwnam("daemon")
    done = subprocess.run([BINARY, "check", weir.config], capture_output=True, text=True, timeout=60, cwd="/",
                          user=somebody.pw_uid, group=somebody.pw_gid, extra_groups=[])
    assert done.returncode == 0, done
    assert 'warning: cannot read "%s": Permission denied' % weir.users in done.stderr
    assert "the service may, if it is started as root: run `mailweir check` as root to see" in done.stderr
    assert "the user \"nobody\" cannot" not in done.stderr
    assert 'Run as root it also says whether the service\'s user "nobody" is there and may read its files.' in done.stdout

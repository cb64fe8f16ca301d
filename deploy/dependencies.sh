#!/usr/bin/env bash
# Installs the Debian 12 packages that mailweir needs; says nothing and is done at once when all are there.
#
#   deploy/dependencies.sh            to build and to run
#   deploy/dependencies.sh --try      also for deploy/try.sh: a Postfix to stand behind, swaks to send with
#   deploy/dependencies.sh --test     also for tests/run.sh (all of --try, too)
#   deploy/dependencies.sh --bench    also for bench/run.sh: those to compare with
#
# No service is started by it, and a Postfix that it brings along comes without a configuration: the tests and the
# demonstration make their own, in their own directories.
set -euo pipefail

build=(gcc libc6-dev cmake ninja-build pkg-config
       libev-dev libssl-dev libc-ares-dev libpcre2-dev libargon2-dev libcrypt-dev libidn2-dev libmaxminddb-dev
       libjansson-dev libcurl4-openssl-dev libhiredis-dev)
try=(postfix swaks libnet-ssleay-perl openssl procps)
test=(python3 python3-pytest python3-pytest-xdist python3-pytest-timeout libcmocka-dev
      clang clang-tidy libclang-rt-14-dev llvm valgrind libsasl2-modules dnsmasq-base redis-server redis-sentinel redis-tools iproute2)
bench=(python3 haproxy nginx libnginx-mod-mail redis-server redis-tools)

usage() {
    sed -n '2,/^set /{/^set /d;s/^# \{0,1\}//;p}' "$0"
}

wanted=("${build[@]}")
for option in "$@"; do
    case $option in
    --try) wanted+=("${try[@]}") ;;
    --test) wanted+=("${try[@]}" "${test[@]}") ;;
    --bench) wanted+=("${try[@]}" "${bench[@]}") ;;
    -h | --help) usage; exit 0 ;;
    *) echo "dependencies.sh: unknown option \"$option\"" >&2; usage >&2; exit 2 ;;
    esac
done

# The names of `wanted` that are not installed, one a line. A package that was removed is still known to dpkg: only
# the state "installed" counts.
missing() {
    local have
    have=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null | sed -n 's/^installed //p') || true
    printf '%s\n' "${wanted[@]}" | sort -u | grep -vxF -f <(printf '%s\n' "$have" | sort -u) || true
}

mapfile -t needed < <(missing)
if [ ${#needed[@]} -eq 0 ]; then
    exit 0
fi
if [ "$(id -u)" -ne 0 ]; then
    {
        echo "dependencies.sh: these packages are missing, and only root can install them:"
        echo "    apt-get install --no-install-recommends ${needed[*]}"
    } >&2
    exit 1
fi

# Packages that bring a daemon start it when they are installed, unless policy-rc.d says no (Debian Policy 9.11). One
# that is there already stays as it is, and is put back if we are stopped half way.
policy=/usr/sbin/policy-rc.d
kept=
allow_services_again() {
    rm -f "$policy"
    if [ -n "$kept" ]; then
        mv -f "$kept" "$policy"
    fi
}
if [ -e "$policy" ] || [ -L "$policy" ]; then
    kept=$(mktemp "$policy.XXXXXX")
    mv -f "$policy" "$kept"
fi
trap allow_services_again EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

export DEBIAN_FRONTEND=noninteractive LC_ALL=C
apt=(apt-get -q -y -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3)
echo "dependencies.sh: installing ${needed[*]}"
if printf '%s\n' "${needed[@]}" | grep -qx postfix; then
    # debconf is part of every Debian; without these answers the package would configure itself as a mail server.
    debconf-set-selections <<'ANSWERS'
postfix postfix/main_mailer_type select No configuration
postfix postfix/mailname string localhost
ANSWERS
fi
"${apt[@]}" update >/dev/null
"${apt[@]}" install --no-install-recommends -o Dpkg::Options::=--force-confold "${needed[@]}" </dev/null >/dev/null

mapfile -t needed < <(missing)
if [ ${#needed[@]} -gt 0 ]; then
    echo "dependencies.sh: still missing: ${needed[*]}" >&2
    exit 1
fi

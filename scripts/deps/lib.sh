# shellcheck shell=bash
# Shared by scripts/deps/get and the build-* scripts beside it: messages, quiet commands, pkg-config
# files, and source packages through an apt configuration of our own.

say() { printf 'deps: %s\n' "$*"; }

die() {
    printf 'deps: %s\n' "$*" >&2
    exit 1
}

# quietly LOG COMMAND...: run, keep the output in LOG, show its end when the command fails.
quietly() {
    local log=$1
    shift
    if ! "$@" >>"$log" 2>&1 </dev/null; then
        printf 'deps: failed: %s\ndeps: the last lines of %s:\n' "$*" "$log" >&2
        tail -n 25 "$log" >&2
        return 1
    fi
}

# write_pc PREFIX NAME VERSION REQUIRES LIBS: a pkg-config file that finds its prefix by its own
# place, so that the tree can be built aside and moved.
write_pc() {
    mkdir -p "$1/lib/pkgconfig"
    cat >"$1/lib/pkgconfig/$2.pc" <<PC
prefix=\${pcfiledir}/../..
libdir=\${prefix}/lib
includedir=\${prefix}/include

Name: $2
Description: $2, built by scripts/deps
Version: $3
Requires: $4
Libs: -L\${libdir} $5
Libs.private: -ldl -pthread
Cflags: -I\${includedir}
PC
}

in_range() { # VERSION AT_LEAST BELOW
    dpkg --compare-versions "$1" ge "$2" && dpkg --compare-versions "$1" lt "$3~"
}

# apt_site SUITE: address of the first mirror among the system's own sources that carries SUITE.
apt_site() {
    # shellcheck disable=SC2016  # apt fills these in
    apt-get indextargets --format '$(SITE) $(CODENAME)' 'Created-By: Packages' |
        awk -v s="$1" '$2 == s && !found++ { print $1 }'
}

# apt_private DIR [deb]: make an apt configuration in DIR that knows the newer suites and nothing of
# the system's state; apt itself checks the chain from the signed Release file to each source file.
# With "deb" the binary packages of the same suites too.
apt_private() {
    local dir=$1 types="deb-src ${2:-}" key=/usr/share/keyrings/debian-archive-keyring.gpg
    local codename mirror security
    [ -r "$key" ] || die "$key is missing: install debian-archive-keyring"
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
    mirror=$(apt_site "$codename")
    security=$(apt_site "$codename-security")
    [ -n "$mirror" ] || die "the system's apt sources name no Debian mirror for $codename"
    mkdir -p "$dir"/{state/lists/partial,cache/archives/partial,parts}
    : >"$dir/status"
    {
        printf 'Types: %s\nURIs: %s\nSuites: trixie sid\n' "${types% }" "$mirror"
        printf 'Components: main\nSigned-By: %s\n' "$key"
        if [ -n "$security" ]; then
            printf '\nTypes: deb-src\nURIs: %s\nSuites: trixie-security\n' "$security"
            printf 'Components: main\nSigned-By: %s\n' "$key"
        fi
    } >"$dir/parts/pangea.sources"
    cat >"$dir/apt.conf" <<CONF
Dir::State "$dir/state";
Dir::State::status "$dir/status";
Dir::Cache "$dir/cache";
Dir::Etc::sourcelist "/dev/null";
Dir::Etc::sourceparts "$dir/parts";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Acquire::Languages "none";
APT::Sandbox::User "root";
CONF
    APT_CONFIG="$dir/apt.conf" quietly "$dir/apt.log" apt-get -q update
}

# apt_versions DIR PACKAGE AT_LEAST BELOW SUITES KIND: the versions in range, best suite first, newest
# first within a suite. KIND is Sources or Packages.
apt_versions() {
    local suite version
    for suite in ${5//,/ }; do
        APT_CONFIG="$1/apt.conf" apt-cache madison "$2" 2>/dev/null |
            awk -v s="$suite/main" -v k="$6" -F ' *[|] *' \
                'index($3, " " s " ") && $3 ~ k "$" { print $2 }' | sort -rV
    done | awk '!seen[$0]++' | while read -r version; do
        if in_range "$version" "$3" "$4"; then echo "$version"; fi
    done
}

# check_digests KNOWN FILE...: a file name that KNOWN lists must have the digest listed; a name not
# listed is a version newer than the list, for which apt's signature check stands alone.
check_digests() {
    local known=$1 file name digest want
    shift
    for file in "$@"; do
        name=$(basename "$file")
        digest=$(sha256sum <"$file" | cut -d ' ' -f 1)
        want=$(awk -v n="$name" '$2 == n { print $1 }' "$known")
        if [ -z "$want" ]; then
            say "note: $name is not in scripts/deps/digests; accepted on Debian's signature" >&2
        elif [ "$want" != "$digest" ]; then
            die "refused: $name has SHA-256 $digest, scripts/deps/digests has $want"
        fi
        printf '%s  %s\n' "$digest" "$name"
    done
}

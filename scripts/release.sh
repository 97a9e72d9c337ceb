# shellcheck shell=bash
# Shared by what makes releases (dist, deb, sbom, reproducible): what is in the tree, its version and its date. The working directory
# is the top of the tree, a clone or an unpacked release.

# tree_version: as meson.build has it.
tree_version() {
    sed -n "s/^  version: '\(.*\)',$/\1/p" meson.build
}

# debian_version VERSION: what dpkg sorts as we mean it: 0.6.0-dev comes before 0.6.0.
debian_version() {
    echo "${1/-/\~}-1"
}

tree_is_clone() {
    [ -e .git ]
}

# tree_epoch: the date of the tree, seconds since 1970: SOURCE_DATE_EPOCH, the last commit's, or that of the file with the version.
tree_epoch() {
    if [ -n "${SOURCE_DATE_EPOCH:-}" ]; then
        echo "$SOURCE_DATE_EPOCH"
    elif tree_is_clone; then
        git log -1 --format=%ct
    else
        stat -c %Y meson.build
    fi
}

# tree_files: the files of the tree, each ended by a NUL, in one order everywhere. Of a clone what git knows and what it does not ignore.
tree_files() {
    if tree_is_clone; then
        git ls-files -z --cached --others --exclude-standard
    else
        find . \( -path './build*' -o -path ./.deps -o -path ./.cache -o -path ./dist -o -name __pycache__ \) -prune \
            -o \( -type f -o -type l \) -printf '%P\0'
    fi | while IFS= read -r -d '' file; do
        if [ -e "$file" ] || [ -L "$file" ]; then printf '%s\0' "$file"; fi
    done | LC_ALL=C sort -z
}

# built_using LOCK: the source packages that were linked in, for Debian's Built-Using.
built_using() {
    awk '$1 == "built" { name = $2 == "blake3" ? "rust-blake3" : $2; printf "%s%s (= %s)", n++ ? ", " : "", name, $3 }' "$1"
}

# shellcheck shell=bash
# Completion of pangea for bash. What may stand in a place the program itself says: `pangea completion words`.

_pangea() {
    local line=${COMP_LINE:0:COMP_POINT} word text kind current quote='' cut='' i
    local -a words=() lines
    # Bash cuts words at `=` and `:` too; put together again what no blank parts.
    for ((i = 0; i <= COMP_CWORD; i++)); do
        if [[ $line =~ ^[[:space:]]+ ]] || ((i == 0)); then
            line=${line#"${BASH_REMATCH[0]}"}
            words+=('')
        fi
        word=${COMP_WORDS[i]}
        ((i < COMP_CWORD)) || word=$line
        words[-1]+=$word
        line=${line#"$word"}
    done
    current=${words[-1]}
    if [[ $current == [\"\']* ]]; then
        quote=${current:0:1}
    else
        cut=${current%"${current##*[=:]}"} # what bash keeps
    fi
    for i in "${!words[@]}"; do
        word=${words[i]//[\\\"\']/}
        [[ $word == \~/* ]] && word=$HOME${word:1}
        words[i]=$word
    done
    mapfile -t lines < <("${words[0]}" completion words -- "${words[@]:1}" 2>/dev/null)
    kind=${lines[0]:-words}
    case $kind in
    files) compopt -o bashdefault -o default ;;
    folders) compopt -o dirnames ;;
    words)
        for line in "${lines[@]:1}"; do
            text=${line%%$'\t'*}
            [[ $text == *[=:] ]] && compopt -o nospace
            [[ $quote ]] || printf -v text %q "$text"
            COMPREPLY+=("${text#"$cut"}")
        done
        ;;
    esac
}

complete -o nosort -F _pangea pangea

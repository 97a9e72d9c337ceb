#compdef pangea
# Completion of pangea for zsh. What may stand in a place the program itself says: `pangea completion words`.

_pangea() {
    local program=${(Q)words[1]} line text
    local -a asked lines whole open
    program=${program/#\~\//$HOME/}
    asked=("${(@Q)words[2,CURRENT-1]/#\~\//$HOME/}" "${(Q)PREFIX}")
    lines=("${(@f)$($program completion words -- "${asked[@]}" 2>/dev/null)}")
    case ${lines[1]} in
    files)
        compset -P '--[^=]#='
        _files
        ;;
    folders)
        compset -P '--[^=]#='
        _path_files -/
        ;;
    words)
        for line in "${(@)lines[2,-1]}"; do
            text=${line%%$'\t'*}
            line=${text//:/\\:}${${line#*$'\t'}:+:${line#*$'\t'}}
            if [[ $text == *[=:] ]]; then
                open+=("$line")
            else
                whole+=("$line")
            fi
        done
        _describe -V pangea whole -- open -S ''
        ;;
    esac
}

if [[ ${funcstack[1]} == _pangea ]]; then
    _pangea "$@"
else
    compdef _pangea pangea
fi

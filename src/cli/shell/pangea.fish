# Completion of pangea for fish. What may stand in a place the program itself says: `pangea completion words`.

function __pangea_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program (string replace -r '^~/' $HOME/ -- $words[1])
    set -l asked (string replace -r '^~/' $HOME/ -- $words[2..-1])
    set -l lines ($program completion words -- $asked (string trim -l -c '\'"' -- $current) 2>/dev/null)
    switch "$lines[1]"
        case files folders
            # The value of --option=value is completed alone.
            set -l before (string match -r -- '^--[^=]*=' $current)
            set -l path (string replace -r -- '^--[^=]*=' '' $current)
            if test $lines[1] = files
                printf "$before%s\n" (__fish_complete_path $path)
            else
                printf "$before%s\n" (__fish_complete_directories $path)
            end
        case words
            printf '%s\n' $lines[2..-1]
    end
end

complete -c pangea -f -a '(__pangea_complete)'

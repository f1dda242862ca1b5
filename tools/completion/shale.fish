# SPDX-License-Identifier: Apache-2.0
# fish completion for shale(1).  What can stand where, the program itself says.

function __shale_complete
    set -l words (commandline -opc)
    set -l current (string unescape -- (commandline -ct); or commandline -ct)
    set -l before (string match -r -- '^--[^=]*=' "$current")
    set -l path (string replace -r -- '^--[^=]*=' '' "$current")
    for line in ($words[1] __complete $words[2..-1] "$current" 2>/dev/null)
        switch $line
            case ':files'
                for file in (__fish_complete_path "$path")
                    echo "$before$file"
                end
            case ':dirs'
                for file in (__fish_complete_directories "$path")
                    echo "$before$file"
                end
            case '*'
                echo $line
        end
    end
end

complete -c shale -e
complete -c shale -f -a '(__shale_complete)'

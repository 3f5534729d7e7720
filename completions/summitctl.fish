# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_summitctl_global_optspecs
    string join \n c/context= repository= config= o/output= events= no-input y/yes confirm= plan-only plan= j/jobs= timeout= state-dir= sandbox-dir= evidence-dir= v/verbose h/help V/version
end

function __fish_summitctl_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_summitctl_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_summitctl_using_subcommand
    set -l cmd (__fish_summitctl_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c summitctl -n "__fish_summitctl_needs_command" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_needs_command" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_needs_command" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_needs_command" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_needs_command" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_needs_command" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_needs_command" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_needs_command" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_needs_command" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_needs_command" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_needs_command" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_needs_command" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_needs_command" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_needs_command" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_needs_command" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_needs_command" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_needs_command" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "init" -d 'Write summitctl.toml from the environment, asking nothing it can find out'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "doctor" -d 'Look at tools, versions, reachability, permissions, keys, disk and clock, and say what mends each finding'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "status" -d 'One screen: health, backup age vs RPO, last drill vs RTO, locks, leases, open runs'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "config" -d 'The handbook\'s variables: present, strong, consistent'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "context" -d 'Named sets of targets'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "smoke" -d 'Parallel health and data-plane probes until a deadline'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "backup" -d 'Verified backups of Postgres, Neo4j and Redis'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "keys" -d 'Who can read the backups'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "kube" -d 'What runs in the cluster'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "restore" -d 'Bring a backup back: beside the live data, verified, then swapped in'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "migrate" -d 'Database migrations: their locks, and whether whoever holds one is alive'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "drill" -d 'DR drills: the newest backup, the real key, scratch servers, every row compared'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "gate" -d 'Go or no-go, from measurements'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "evidence" -d 'Signed records of what was done and seen'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "runbook" -d 'Procedures that a person can read and the program can run'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "run" -d 'Journalled runs of changing commands'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "lease" -d 'Who holds which target'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "golden-path" -d 'The guided first day, on a throw-away sandbox'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "sandbox" -d 'A throw-away stack of real servers to practise on'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "explain" -d 'What an exit code, a reason, a step kind or a handbook script means here'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "completions" -d 'Shell completions on stdout'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "man" -d 'Manual pages into a folder'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "schemas" -d 'JSON schemas of every command\'s output, into a folder'
complete -c summitctl -n "__fish_summitctl_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand init" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand init" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand init" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand init" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand init" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand init" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand init" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand init" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand init" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand init" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand init" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand init" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand init" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand init" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand init" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand init" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand init" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand doctor" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand doctor" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand doctor" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand doctor" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand doctor" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand doctor" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand doctor" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand doctor" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand doctor" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand doctor" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand doctor" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand doctor" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand doctor" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand doctor" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand doctor" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand doctor" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand doctor" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand status" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand status" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand status" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand status" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand status" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand status" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand status" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand status" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand status" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand status" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand status" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand status" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand status" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand status" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand status" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand status" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand status" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and not __fish_seen_subcommand_from check show help" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and not __fish_seen_subcommand_from check show help" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and not __fish_seen_subcommand_from check show help" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and not __fish_seen_subcommand_from check show help" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and not __fish_seen_subcommand_from check show help" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and not __fish_seen_subcommand_from check show help" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and not __fish_seen_subcommand_from check show help" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and not __fish_seen_subcommand_from check show help" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and not __fish_seen_subcommand_from check show help" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and not __fish_seen_subcommand_from check show help" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and not __fish_seen_subcommand_from check show help" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and not __fish_seen_subcommand_from check show help" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and not __fish_seen_subcommand_from check show help" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and not __fish_seen_subcommand_from check show help" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and not __fish_seen_subcommand_from check show help" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and not __fish_seen_subcommand_from check show help" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and not __fish_seen_subcommand_from check show help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and not __fish_seen_subcommand_from check show help" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and not __fish_seen_subcommand_from check show help" -f -a "check" -d 'Check the handbook\'s variables; values are never shown'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and not __fish_seen_subcommand_from check show help" -f -a "show" -d 'Show every setting of the context and where it came from'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and not __fish_seen_subcommand_from check show help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -l env-file -d 'Read the variables from this .env file instead of the process environment' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -l compose -d 'Read the variables of a service from this Compose file' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -l service -d 'The Compose service' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -l source -d 'Where the variables are read from [default: what the other flags name, else the context\'s `variables`, else `process`]' -r -f -a "process\t''
kubernetes\t''"
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -l workload -d 'Read what this workload of the context\'s cluster really gives its container, such as deployment/gateway' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -l container -d 'The container, if the workload has several' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -l namespace -d 'The workload\'s namespace [default: the context\'s, if it has only one]' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -l tier -d 'Judge as for this tier [default: the context\'s]' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -l ingress-host -d 'The host clients reach the platform at, to compare origins and redirects with' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from check" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from show" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from show" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from show" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from show" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from show" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from show" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from show" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from show" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from show" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from show" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from show" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from show" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from show" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from show" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from show" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "check" -d 'Check the handbook\'s variables; values are never shown'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "show" -d 'Show every setting of the context and where it came from'
complete -c summitctl -n "__fish_summitctl_using_subcommand config; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and not __fish_seen_subcommand_from list show use pin help" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and not __fish_seen_subcommand_from list show use pin help" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and not __fish_seen_subcommand_from list show use pin help" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and not __fish_seen_subcommand_from list show use pin help" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and not __fish_seen_subcommand_from list show use pin help" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and not __fish_seen_subcommand_from list show use pin help" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and not __fish_seen_subcommand_from list show use pin help" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and not __fish_seen_subcommand_from list show use pin help" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and not __fish_seen_subcommand_from list show use pin help" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and not __fish_seen_subcommand_from list show use pin help" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and not __fish_seen_subcommand_from list show use pin help" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and not __fish_seen_subcommand_from list show use pin help" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and not __fish_seen_subcommand_from list show use pin help" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and not __fish_seen_subcommand_from list show use pin help" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and not __fish_seen_subcommand_from list show use pin help" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and not __fish_seen_subcommand_from list show use pin help" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and not __fish_seen_subcommand_from list show use pin help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and not __fish_seen_subcommand_from list show use pin help" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and not __fish_seen_subcommand_from list show use pin help" -f -a "list" -d 'All contexts, and which one is used by default'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and not __fish_seen_subcommand_from list show use pin help" -f -a "show" -d 'The context in full; secrets by reference only'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and not __fish_seen_subcommand_from list show use pin help" -f -a "use" -d 'Make a context the default of this machine'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and not __fish_seen_subcommand_from list show use pin help" -f -a "pin" -d 'Record what the context\'s targets are, so that no other is ever changed'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and not __fish_seen_subcommand_from list show use pin help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from list" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from list" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from list" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from list" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from list" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from list" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from list" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from list" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from list" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from list" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from list" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from list" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from list" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from list" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from list" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from show" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from show" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from show" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from show" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from show" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from show" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from show" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from show" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from show" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from show" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from show" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from show" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from show" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from show" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from show" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from use" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from use" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from use" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from use" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from use" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from use" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from use" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from use" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from use" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from use" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from use" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from use" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from use" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from use" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from use" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from use" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from use" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from use" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from pin" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from pin" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from pin" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from pin" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from pin" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from pin" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from pin" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from pin" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from pin" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from pin" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from pin" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from pin" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from pin" -l replace -d 'Replace an earlier pin'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from pin" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from pin" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from pin" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from pin" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from pin" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from pin" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from help" -f -a "list" -d 'All contexts, and which one is used by default'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from help" -f -a "show" -d 'The context in full; secrets by reference only'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from help" -f -a "use" -d 'Make a context the default of this machine'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from help" -f -a "pin" -d 'Record what the context\'s targets are, so that no other is ever changed'
complete -c summitctl -n "__fish_summitctl_using_subcommand context; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand smoke" -l wait -d 'Keep trying until everything passes or this long has gone by' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand smoke" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand smoke" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand smoke" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand smoke" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand smoke" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand smoke" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand smoke" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand smoke" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand smoke" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand smoke" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand smoke" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand smoke" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand smoke" -l data-plane -d 'Also write through the platform, read back from the stores, and remove'
complete -c summitctl -n "__fish_summitctl_using_subcommand smoke" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand smoke" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand smoke" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand smoke" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand smoke" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand smoke" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -f -a "init" -d 'Make the context\'s repository, in a new or empty folder or below a bucket\'s prefix'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -f -a "create" -d 'Capture the stores into the repository'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -f -a "list" -d 'Backups, newest first, with what was verified'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -f -a "show" -d 'One backup in full'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -f -a "diff" -d 'What changed from one backup to another: rows, bytes, schema'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -f -a "import" -d 'Make a backup of a dump that another tool made'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -f -a "verify" -d 'Prove a backup: 1 authentic and complete, 2 every row decoded, 3 restored and compared'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -f -a "hold" -d 'Keep a backup whatever the rules say'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -f -a "release" -d 'Let the rules decide on a backup again'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -f -a "export" -d 'Write a backup as plain files into a folder, in the clear'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -f -a "prune" -d 'Remove the backups that no rule keeps, and what nothing needs any more'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -f -a "copy" -d 'Bring what the copies of the repository lack'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -f -a "forget" -d 'State that a backup which is gone was removed on purpose, so that its segments may be collected'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -f -a "unlock" -d 'Remove the lock of a process of elsewhere that is surely no more'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and not __fish_seen_subcommand_from init create list show diff import verify hold release export prune copy forget unlock help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from init" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from init" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from init" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from init" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from init" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from init" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from init" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from init" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from init" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from init" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from init" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from init" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from init" -l new-secret -d 'Make the file that `repository.secret` names, with a new secret, if it is not there'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from init" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from init" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from init" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from init" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from init" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from init" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -l stores -d 'Only these stores' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -l label -d 'A label to find it by, such as `pre-deploy`; may be given more than once' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -l commit -d 'The commit that is deployed now, to find it by: 7 to 64 hexadecimal digits' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -l hold-writes -d 'Hold writes to Neo4j back while it is read, for SPAN at most each time, if a first reading was disturbed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -l quiesce -d 'Stop writes meanwhile, by the programs of the context\'s `quiesce` section'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -l offline -d 'Stop Neo4j meanwhile and dump it, by the programs of the context\'s `neo4j.offline` section'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from create" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from list" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from list" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from list" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from list" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from list" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from list" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from list" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from list" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from list" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from list" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from list" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from list" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from list" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from list" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from list" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from show" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from show" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from show" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from show" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from show" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from show" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from show" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from show" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from show" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from show" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from show" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from show" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from show" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from show" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from show" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from diff" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from diff" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from diff" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from diff" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from diff" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from diff" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from diff" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from diff" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from diff" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from diff" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from diff" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from diff" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from diff" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from diff" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from diff" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from diff" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from diff" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from import" -l as-of -d 'The moment whose data it holds, such as `2026-11-20T03:00:00Z`, if the dump does not say it' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from import" -l database -d 'Which of the context\'s Postgres databases it becomes, if there are several' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from import" -l label -d 'A label to find it by; may be given more than once' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from import" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from import" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from import" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from import" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from import" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from import" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from import" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from import" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from import" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from import" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from import" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from import" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from import" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from import" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from import" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from import" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from import" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from import" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -l level -d 'How far to go' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -l sample -d 'With `--level 1`: all documents, and this share of the segments, such as `5%`; claims no level' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -l seed -d 'Draw the sample of this seed again' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -l key-check -d 'Instead, prove that the identity at hand opens it: unwrap the keys and decrypt one segment'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from verify" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from hold" -l reason -d 'Why, for whoever wants to release it' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from hold" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from hold" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from hold" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from hold" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from hold" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from hold" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from hold" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from hold" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from hold" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from hold" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from hold" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from hold" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from hold" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from hold" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from hold" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from hold" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from hold" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from hold" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from release" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from release" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from release" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from release" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from release" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from release" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from release" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from release" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from release" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from release" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from release" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from release" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from release" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from release" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from release" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from release" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from release" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from release" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from export" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from export" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from export" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from export" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from export" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from export" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from export" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from export" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from export" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from export" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from export" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from export" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from export" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from export" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from export" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from export" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from export" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -l keep-within -d 'Keep everything that is younger' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -l keep-last -d 'Keep the newest N' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -l keep-hourly -d 'Keep the newest of each of N hours' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -l keep-daily -d 'Keep the newest of each of N days, in UTC' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -l keep-weekly -d 'Keep the newest of each of N weeks, from Monday' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -l keep-monthly -d 'Keep the newest of each of N months' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -l keep-yearly -d 'Keep the newest of each of N years' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -l dry-run -d 'Show what stays, what goes and what it frees, and do nothing; the same as `--plan-only`'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from prune" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from copy" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from copy" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from copy" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from copy" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from copy" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from copy" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from copy" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from copy" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from copy" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from copy" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from copy" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from copy" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from copy" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from copy" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from copy" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from copy" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from copy" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from copy" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from forget" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from forget" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from forget" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from forget" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from forget" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from forget" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from forget" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from forget" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from forget" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from forget" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from forget" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from forget" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from forget" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from forget" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from forget" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from forget" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from forget" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from forget" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from unlock" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from unlock" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from unlock" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from unlock" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from unlock" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from unlock" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from unlock" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from unlock" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from unlock" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from unlock" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from unlock" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from unlock" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from unlock" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from unlock" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from unlock" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from unlock" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from unlock" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from unlock" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from help" -f -a "init" -d 'Make the context\'s repository, in a new or empty folder or below a bucket\'s prefix'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from help" -f -a "create" -d 'Capture the stores into the repository'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from help" -f -a "list" -d 'Backups, newest first, with what was verified'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from help" -f -a "show" -d 'One backup in full'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from help" -f -a "diff" -d 'What changed from one backup to another: rows, bytes, schema'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from help" -f -a "import" -d 'Make a backup of a dump that another tool made'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Prove a backup: 1 authentic and complete, 2 every row decoded, 3 restored and compared'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from help" -f -a "hold" -d 'Keep a backup whatever the rules say'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from help" -f -a "release" -d 'Let the rules decide on a backup again'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from help" -f -a "export" -d 'Write a backup as plain files into a folder, in the clear'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from help" -f -a "prune" -d 'Remove the backups that no rule keeps, and what nothing needs any more'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from help" -f -a "copy" -d 'Bring what the copies of the repository lack'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from help" -f -a "forget" -d 'State that a backup which is gone was removed on purpose, so that its segments may be collected'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from help" -f -a "unlock" -d 'Remove the lock of a process of elsewhere that is surely no more'
complete -c summitctl -n "__fish_summitctl_using_subcommand backup; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -f -a "list" -d 'Who can read the backups, who signs them, and when somebody last proved that they can be opened'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -f -a "add" -d 'Let somebody read all backups, by their age recipient or SSH key; an escrow key in a safe is an operator, too'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -f -a "remove" -d 'Wrap the keys for everybody but this operator. Not a revocation: see `keys new-epoch`'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -f -a "rotate" -d 'Give an operator another recipient'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -f -a "new-epoch" -d 'After a compromise: new keys under a new secret, which share no segment with the old'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and not __fish_seen_subcommand_from list add remove rotate new-epoch help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from list" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from list" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from list" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from list" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from list" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from list" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from list" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from list" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from list" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from list" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from list" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from list" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from list" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from list" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from list" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from add" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from add" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from add" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from add" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from add" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from add" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from add" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from add" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from add" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from add" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from add" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from add" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from add" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from add" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from add" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from add" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from add" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from add" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from remove" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from remove" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from remove" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from remove" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from remove" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from remove" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from remove" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from remove" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from remove" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from remove" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from remove" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from remove" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from remove" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from remove" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from remove" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from remove" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from remove" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from remove" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from rotate" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from rotate" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from rotate" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from rotate" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from rotate" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from rotate" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from rotate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from rotate" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from new-epoch" -l secret-file -d 'Where the new repository secret is kept; made if it does not exist' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from new-epoch" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from new-epoch" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from new-epoch" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from new-epoch" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from new-epoch" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from new-epoch" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from new-epoch" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from new-epoch" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from new-epoch" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from new-epoch" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from new-epoch" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from new-epoch" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from new-epoch" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from new-epoch" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from new-epoch" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from new-epoch" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from new-epoch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from new-epoch" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "list" -d 'Who can read the backups, who signs them, and when somebody last proved that they can be opened'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "add" -d 'Let somebody read all backups, by their age recipient or SSH key; an escrow key in a safe is an operator, too'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "remove" -d 'Wrap the keys for everybody but this operator. Not a revocation: see `keys new-epoch`'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "rotate" -d 'Give an operator another recipient'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "new-epoch" -d 'After a compromise: new keys under a new secret, which share no segment with the old'
complete -c summitctl -n "__fish_summitctl_using_subcommand keys; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and not __fish_seen_subcommand_from show rbac help" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and not __fish_seen_subcommand_from show rbac help" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and not __fish_seen_subcommand_from show rbac help" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and not __fish_seen_subcommand_from show rbac help" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and not __fish_seen_subcommand_from show rbac help" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and not __fish_seen_subcommand_from show rbac help" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and not __fish_seen_subcommand_from show rbac help" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and not __fish_seen_subcommand_from show rbac help" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and not __fish_seen_subcommand_from show rbac help" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and not __fish_seen_subcommand_from show rbac help" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and not __fish_seen_subcommand_from show rbac help" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and not __fish_seen_subcommand_from show rbac help" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and not __fish_seen_subcommand_from show rbac help" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and not __fish_seen_subcommand_from show rbac help" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and not __fish_seen_subcommand_from show rbac help" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and not __fish_seen_subcommand_from show rbac help" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and not __fish_seen_subcommand_from show rbac help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and not __fish_seen_subcommand_from show rbac help" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and not __fish_seen_subcommand_from show rbac help" -f -a "show" -d 'Which cluster the context names, who asks it, and as whom it sees us'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and not __fish_seen_subcommand_from show rbac help" -f -a "rbac" -d 'The Roles and bindings that `smoke` and `doctor` need, as YAML for `kubectl apply -f -`; nothing is changed'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and not __fish_seen_subcommand_from show rbac help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from show" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from show" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from show" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from show" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from show" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from show" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from show" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from show" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from show" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from show" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from show" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from show" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from show" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from show" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from show" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from rbac" -l name -d 'The name of the Roles and bindings' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from rbac" -l service-account -d 'The service account that gets them, in the first of the context\'s namespaces' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from rbac" -l step -d 'With what this step kind needs, too; may be given several times' -r -f -a "config.check\t''
kube.scale\t''
kube.rollout.undo\t''
kube.set\t''
kube.job.run\t''"
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from rbac" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from rbac" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from rbac" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from rbac" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from rbac" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from rbac" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from rbac" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from rbac" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from rbac" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from rbac" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from rbac" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from rbac" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from rbac" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from rbac" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from rbac" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from rbac" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from rbac" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from rbac" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from help" -f -a "show" -d 'Which cluster the context names, who asks it, and as whom it sees us'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from help" -f -a "rbac" -d 'The Roles and bindings that `smoke` and `doctor` need, as YAML for `kubectl apply -f -`; nothing is changed'
complete -c summitctl -n "__fish_summitctl_using_subcommand kube; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l stores -d 'Only these stores' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l database -d 'Only this Postgres database, and no other store' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l into -d 'Restore into the targets of this context, from the repository of `--context`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l without-safety-backup -d 'Restore without saving the present state first; says why' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l as -d 'Restore Postgres into a new database of this name, and replace nothing' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l table -d 'With `--as`: load the rows of this table; others are there, and empty. With `--in-place`: this table' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l schema -d 'With `--as`: load the rows of this schema\'s tables; others are there, and empty' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l map-role -d 'Give to the role NEW what the backup says of OLD: ownership, grants, default privileges, policies, settings; may be given more than once' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l mend -d 'Postgres: mend these in the restored copy, after it was compared and before anybody works with it: `locks` (held by migrations), `sequences` (behind their columns), `indexes` (that were not valid); and before it, make the `roles` that the backup names and the server lacks, without login' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l in-place -d 'Put the table that `--table` names back into the live database, in one transaction; refused if it holds rows'
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l flush -d 'Redis: drop all its keys first, and load in place'
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l replace -d 'Redis: overwrite the keys that the backup has, and keep the others. With `--in-place`: a table that holds rows moves into a schema of its own, and stays there'
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l merge -d 'Redis: keep all keys that are there, and add those that are missing'
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l offline -d 'Neo4j: stop it and load the dump that the backup holds, by the programs of the context\'s `neo4j.offline` section'
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l can-i -d 'Check whether the restore could be done, touching nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l undo -d 'Take the context\'s last restore back'
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand restore" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and not __fish_seen_subcommand_from status lock blockers help" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and not __fish_seen_subcommand_from status lock blockers help" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and not __fish_seen_subcommand_from status lock blockers help" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and not __fish_seen_subcommand_from status lock blockers help" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and not __fish_seen_subcommand_from status lock blockers help" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and not __fish_seen_subcommand_from status lock blockers help" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and not __fish_seen_subcommand_from status lock blockers help" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and not __fish_seen_subcommand_from status lock blockers help" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and not __fish_seen_subcommand_from status lock blockers help" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and not __fish_seen_subcommand_from status lock blockers help" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and not __fish_seen_subcommand_from status lock blockers help" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and not __fish_seen_subcommand_from status lock blockers help" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and not __fish_seen_subcommand_from status lock blockers help" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and not __fish_seen_subcommand_from status lock blockers help" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and not __fish_seen_subcommand_from status lock blockers help" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and not __fish_seen_subcommand_from status lock blockers help" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and not __fish_seen_subcommand_from status lock blockers help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and not __fish_seen_subcommand_from status lock blockers help" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and not __fish_seen_subcommand_from status lock blockers help" -f -a "status" -d 'Which tools manage each Postgres database: what is applied, what failed, and whether a lock is held'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and not __fish_seen_subcommand_from status lock blockers help" -f -a "lock" -d 'The locks of migration tools, and who holds them'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and not __fish_seen_subcommand_from status lock blockers help" -f -a "blockers" -d 'Who blocks whom in Postgres and Neo4j, and which transactions and advisory locks somebody forgot'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and not __fish_seen_subcommand_from status lock blockers help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from status" -l sources -d 'Compare a tool\'s source files (of Liquibase the changelog that it starts with) with what it has written down: what is pending, changed, missing, or half applied; may be given more than once' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from status" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from status" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from status" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from status" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from status" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from status" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from status" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from status" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from status" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from status" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from status" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from status" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from status" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from status" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from status" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from status" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from status" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from lock" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from lock" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from lock" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from lock" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from lock" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from lock" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from lock" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from lock" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from lock" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from lock" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from lock" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from lock" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from lock" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from lock" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from lock" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from lock" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from lock" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from lock" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from lock" -f -a "show" -d 'Each lock: who holds it since when, who waits, and whether the holder is alive, dead or unknown, and why'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from lock" -f -a "clear" -d 'Clear the lock of a holder that is dead, exactly as it was shown'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from lock" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from blockers" -l end-root -d 'End the root of a blocking tree: a pid, `gid:NAME` of a prepared transaction, or an id of Neo4j [default: the only root there is]' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from blockers" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from blockers" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from blockers" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from blockers" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from blockers" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from blockers" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from blockers" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from blockers" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from blockers" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from blockers" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from blockers" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from blockers" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from blockers" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from blockers" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from blockers" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from blockers" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from blockers" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from blockers" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from help" -f -a "status" -d 'Which tools manage each Postgres database: what is applied, what failed, and whether a lock is held'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from help" -f -a "lock" -d 'The locks of migration tools, and who holds them'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from help" -f -a "blockers" -d 'Who blocks whom in Postgres and Neo4j, and which transactions and advisory locks somebody forgot'
complete -c summitctl -n "__fish_summitctl_using_subcommand migrate; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and not __fish_seen_subcommand_from run history help" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and not __fish_seen_subcommand_from run history help" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and not __fish_seen_subcommand_from run history help" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and not __fish_seen_subcommand_from run history help" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and not __fish_seen_subcommand_from run history help" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and not __fish_seen_subcommand_from run history help" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and not __fish_seen_subcommand_from run history help" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and not __fish_seen_subcommand_from run history help" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and not __fish_seen_subcommand_from run history help" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and not __fish_seen_subcommand_from run history help" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and not __fish_seen_subcommand_from run history help" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and not __fish_seen_subcommand_from run history help" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and not __fish_seen_subcommand_from run history help" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and not __fish_seen_subcommand_from run history help" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and not __fish_seen_subcommand_from run history help" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and not __fish_seen_subcommand_from run history help" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and not __fish_seen_subcommand_from run history help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and not __fish_seen_subcommand_from run history help" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and not __fish_seen_subcommand_from run history help" -f -a "run" -d 'Restore the newest backup to scratch servers and compare every row'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and not __fish_seen_subcommand_from run history help" -f -a "history" -d 'Earlier drills, from the evidence'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and not __fish_seen_subcommand_from run history help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from run" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from run" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from run" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from run" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from run" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from run" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from run" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from run" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from run" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from run" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from run" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from run" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from run" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from run" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from run" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from run" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from run" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from history" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from history" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from history" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from history" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from history" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from history" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from history" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from history" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from history" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from history" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from history" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from history" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from history" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from history" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from history" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from history" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from history" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from history" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from help" -f -a "run" -d 'Restore the newest backup to scratch servers and compare every row'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from help" -f -a "history" -d 'Earlier drills, from the evidence'
complete -c summitctl -n "__fish_summitctl_using_subcommand drill; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and not __fish_seen_subcommand_from run help" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and not __fish_seen_subcommand_from run help" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and not __fish_seen_subcommand_from run help" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and not __fish_seen_subcommand_from run help" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and not __fish_seen_subcommand_from run help" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and not __fish_seen_subcommand_from run help" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and not __fish_seen_subcommand_from run help" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and not __fish_seen_subcommand_from run help" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and not __fish_seen_subcommand_from run help" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and not __fish_seen_subcommand_from run help" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and not __fish_seen_subcommand_from run help" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and not __fish_seen_subcommand_from run help" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and not __fish_seen_subcommand_from run help" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and not __fish_seen_subcommand_from run help" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and not __fish_seen_subcommand_from run help" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and not __fish_seen_subcommand_from run help" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and not __fish_seen_subcommand_from run help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and not __fish_seen_subcommand_from run help" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and not __fish_seen_subcommand_from run help" -f -a "run" -d 'Evaluate every check of the gate'
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and not __fish_seen_subcommand_from run help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and __fish_seen_subcommand_from run" -l commit -d 'The commit that is to be released' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and __fish_seen_subcommand_from run" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and __fish_seen_subcommand_from run" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and __fish_seen_subcommand_from run" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and __fish_seen_subcommand_from run" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and __fish_seen_subcommand_from run" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and __fish_seen_subcommand_from run" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and __fish_seen_subcommand_from run" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and __fish_seen_subcommand_from run" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and __fish_seen_subcommand_from run" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and __fish_seen_subcommand_from run" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and __fish_seen_subcommand_from run" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and __fish_seen_subcommand_from run" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and __fish_seen_subcommand_from run" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and __fish_seen_subcommand_from run" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and __fish_seen_subcommand_from run" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and __fish_seen_subcommand_from run" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and __fish_seen_subcommand_from run" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and __fish_seen_subcommand_from help" -f -a "run" -d 'Evaluate every check of the gate'
complete -c summitctl -n "__fish_summitctl_using_subcommand gate; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -f -a "list" -d 'All records'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -f -a "show" -d 'One run\'s record'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -f -a "verify" -d 'Check every signature and chain, offline'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -f -a "export" -d 'Copy one run\'s records to a folder that verifies on its own'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -f -a "keygen" -d 'Make a signing key'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and not __fish_seen_subcommand_from list show verify export keygen help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from list" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from list" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from list" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from list" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from list" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from list" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from list" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from list" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from list" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from list" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from list" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from list" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from list" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from list" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from list" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from show" -l format -d 'How to render it' -r -f -a "text\t'Sentences for the terminal'
markdown\t'Markdown'
junit\t'JUnit XML'
html\t'One self-contained page'"
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from show" -l file -d 'Write it to this file instead of stdout' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from show" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from show" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from show" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from show" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from show" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from show" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from show" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from show" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from show" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from show" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from show" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from show" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from show" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from show" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from show" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from verify" -l trusted-key -d 'Public keys to trust: files or folders [default: the context\'s]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from verify" -l expect-head -d 'The head that somebody else kept, as SEQ:DIGEST' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from verify" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from verify" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from verify" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from verify" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from verify" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from verify" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from verify" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from verify" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from verify" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from verify" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from verify" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from verify" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from verify" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from verify" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from verify" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from verify" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from verify" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from verify" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from export" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from export" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from export" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from export" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from export" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from export" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from export" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from export" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from export" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from export" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from export" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from export" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from export" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from export" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from export" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from export" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from export" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from export" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from keygen" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from keygen" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from keygen" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from keygen" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from keygen" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from keygen" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from keygen" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from keygen" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from keygen" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from keygen" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from keygen" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from keygen" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from keygen" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from keygen" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from keygen" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from keygen" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from keygen" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from keygen" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from help" -f -a "list" -d 'All records'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from help" -f -a "show" -d 'One run\'s record'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from help" -f -a "verify" -d 'Check every signature and chain, offline'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from help" -f -a "export" -d 'Copy one run\'s records to a folder that verifies on its own'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from help" -f -a "keygen" -d 'Make a signing key'
complete -c summitctl -n "__fish_summitctl_using_subcommand evidence; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -f -a "list" -d 'Built-in and local runbooks'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -f -a "show" -d 'The runbook\'s text'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -f -a "lint" -d 'Problems with their place in the file'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -f -a "plan" -d 'What it would do'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -f -a "run" -d 'Do it'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -f -a "diff" -d 'How a local copy differs from the built-in runbook'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -f -a "complete" -d 'What can be completed: runbooks, or the parameters of one'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -f -a "new" -d 'A new runbook to start from, on stdout'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and not __fish_seen_subcommand_from list show lint plan run diff complete new help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from list" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from list" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from list" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from list" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from list" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from list" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from list" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from list" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from list" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from list" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from list" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from list" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from list" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from list" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from list" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from show" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from show" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from show" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from show" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from show" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from show" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from show" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from show" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from show" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from show" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from show" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from show" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from show" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from show" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from show" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from lint" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from lint" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from lint" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from lint" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from lint" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from lint" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from lint" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from lint" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from lint" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from lint" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from lint" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from lint" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from lint" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from lint" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from lint" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from lint" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from lint" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from lint" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from plan" -s p -l param -d 'A parameter' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from plan" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from plan" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from plan" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from plan" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from plan" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from plan" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from plan" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from plan" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from plan" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from plan" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from plan" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from plan" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from plan" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from plan" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from plan" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from plan" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from plan" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from run" -s p -l param -d 'A parameter' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from run" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from run" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from run" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from run" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from run" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from run" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from run" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from run" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from run" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from run" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from run" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from run" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from run" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from run" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from run" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from run" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from run" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from diff" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from diff" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from diff" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from diff" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from diff" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from diff" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from diff" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from diff" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from diff" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from diff" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from diff" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from diff" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from diff" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from diff" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from diff" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from diff" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from diff" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from complete" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from complete" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from complete" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from complete" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from complete" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from complete" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from complete" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from complete" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from complete" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from complete" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from complete" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from complete" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from complete" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from complete" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from complete" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from complete" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from complete" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from complete" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from new" -l from -d 'Copy this built-in runbook; with the same name, the copy in the folder `runbooks` stands in for it' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from new" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from new" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from new" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from new" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from new" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from new" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from new" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from new" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from new" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from new" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from new" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from new" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from new" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from new" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from new" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from new" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from new" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from new" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from help" -f -a "list" -d 'Built-in and local runbooks'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from help" -f -a "show" -d 'The runbook\'s text'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from help" -f -a "lint" -d 'Problems with their place in the file'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from help" -f -a "plan" -d 'What it would do'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from help" -f -a "run" -d 'Do it'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from help" -f -a "diff" -d 'How a local copy differs from the built-in runbook'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from help" -f -a "complete" -d 'What can be completed: runbooks, or the parameters of one'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from help" -f -a "new" -d 'A new runbook to start from, on stdout'
complete -c summitctl -n "__fish_summitctl_using_subcommand runbook; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and not __fish_seen_subcommand_from list show resume abort help" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and not __fish_seen_subcommand_from list show resume abort help" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and not __fish_seen_subcommand_from list show resume abort help" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and not __fish_seen_subcommand_from list show resume abort help" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and not __fish_seen_subcommand_from list show resume abort help" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and not __fish_seen_subcommand_from list show resume abort help" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and not __fish_seen_subcommand_from list show resume abort help" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and not __fish_seen_subcommand_from list show resume abort help" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and not __fish_seen_subcommand_from list show resume abort help" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and not __fish_seen_subcommand_from list show resume abort help" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and not __fish_seen_subcommand_from list show resume abort help" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and not __fish_seen_subcommand_from list show resume abort help" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and not __fish_seen_subcommand_from list show resume abort help" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and not __fish_seen_subcommand_from list show resume abort help" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and not __fish_seen_subcommand_from list show resume abort help" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and not __fish_seen_subcommand_from list show resume abort help" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and not __fish_seen_subcommand_from list show resume abort help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and not __fish_seen_subcommand_from list show resume abort help" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and not __fish_seen_subcommand_from list show resume abort help" -f -a "list" -d 'Runs, newest first'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and not __fish_seen_subcommand_from list show resume abort help" -f -a "show" -d 'One run: its steps and what they saw'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and not __fish_seen_subcommand_from list show resume abort help" -f -a "resume" -d 'Go on where it stopped'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and not __fish_seen_subcommand_from list show resume abort help" -f -a "abort" -d 'Take back what it did, and end it'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and not __fish_seen_subcommand_from list show resume abort help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from list" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from list" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from list" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from list" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from list" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from list" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from list" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from list" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from list" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from list" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from list" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from list" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from list" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from list" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from list" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from list" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from list" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from show" -l format -d 'How to show it' -r -f -a "text\t'A table for the terminal'
markdown\t'The record: the runbook\'s prose, filled in with what happened'"
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from show" -l file -d 'Write it to this file instead of stdout' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from show" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from show" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from show" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from show" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from show" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from show" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from show" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from show" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from show" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from show" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from show" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from show" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from show" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from show" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from show" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from resume" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from resume" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from resume" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from resume" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from resume" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from resume" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from resume" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from resume" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from resume" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from resume" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from resume" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from resume" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from resume" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from resume" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from resume" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from resume" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from resume" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from abort" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from abort" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from abort" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from abort" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from abort" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from abort" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from abort" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from abort" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from abort" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from abort" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from abort" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from abort" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from abort" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from abort" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from abort" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from abort" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from abort" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from abort" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from help" -f -a "list" -d 'Runs, newest first'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from help" -f -a "show" -d 'One run: its steps and what they saw'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from help" -f -a "resume" -d 'Go on where it stopped'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from help" -f -a "abort" -d 'Take back what it did, and end it'
complete -c summitctl -n "__fish_summitctl_using_subcommand run; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and not __fish_seen_subcommand_from show break help" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and not __fish_seen_subcommand_from show break help" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and not __fish_seen_subcommand_from show break help" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and not __fish_seen_subcommand_from show break help" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and not __fish_seen_subcommand_from show break help" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and not __fish_seen_subcommand_from show break help" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and not __fish_seen_subcommand_from show break help" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and not __fish_seen_subcommand_from show break help" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and not __fish_seen_subcommand_from show break help" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and not __fish_seen_subcommand_from show break help" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and not __fish_seen_subcommand_from show break help" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and not __fish_seen_subcommand_from show break help" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and not __fish_seen_subcommand_from show break help" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and not __fish_seen_subcommand_from show break help" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and not __fish_seen_subcommand_from show break help" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and not __fish_seen_subcommand_from show break help" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and not __fish_seen_subcommand_from show break help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and not __fish_seen_subcommand_from show break help" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and not __fish_seen_subcommand_from show break help" -f -a "show" -d 'Every lease and its holder'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and not __fish_seen_subcommand_from show break help" -f -a "break" -d 'Remove a lease whose holder is known to be dead'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and not __fish_seen_subcommand_from show break help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from show" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from show" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from show" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from show" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from show" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from show" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from show" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from show" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from show" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from show" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from show" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from show" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from show" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from show" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from show" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from show" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from show" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from show" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from break" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from break" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from break" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from break" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from break" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from break" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from break" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from break" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from break" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from break" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from break" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from break" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from break" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from break" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from break" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from break" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from break" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from break" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from help" -f -a "show" -d 'Every lease and its holder'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from help" -f -a "break" -d 'Remove a lease whose holder is known to be dead'
complete -c summitctl -n "__fish_summitctl_using_subcommand lease; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand golden-path" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand golden-path" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand golden-path" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand golden-path" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand golden-path" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand golden-path" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand golden-path" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand golden-path" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand golden-path" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand golden-path" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand golden-path" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand golden-path" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand golden-path" -l keep -d 'Leave the sandbox running afterwards'
complete -c summitctl -n "__fish_summitctl_using_subcommand golden-path" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand golden-path" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand golden-path" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand golden-path" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand golden-path" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand golden-path" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -f -a "up" -d 'Start it, or what is missing of it'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -f -a "status" -d 'What runs where'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -f -a "break" -d 'Break something, to practise'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -f -a "mend" -d 'Mend it again'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -f -a "down" -d 'Stop it'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -f -a "serve-platform" -d 'Serve the stand-in platform in the foreground'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and not __fish_seen_subcommand_from up status break mend down serve-platform help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from up" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from up" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from up" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from up" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from up" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from up" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from up" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from up" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from up" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from up" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from up" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from up" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from up" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from up" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from up" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from up" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from up" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from up" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from status" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from status" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from break" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from break" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from break" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from break" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from break" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from break" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from break" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from break" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from break" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from break" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from break" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from break" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from break" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from break" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from break" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from break" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from break" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from break" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from mend" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from mend" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from mend" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from mend" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from mend" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from mend" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from mend" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from mend" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from mend" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from mend" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from mend" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from mend" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from mend" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from mend" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from mend" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from mend" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from mend" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from mend" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from down" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from down" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from down" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from down" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from down" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from down" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from down" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from down" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from down" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from down" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from down" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from down" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from down" -l purge -d 'Also remove its data, backups and evidence'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from down" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from down" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from down" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from down" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from down" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from down" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from serve-platform" -l dir -d 'Its configuration' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from serve-platform" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from serve-platform" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from serve-platform" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from serve-platform" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from serve-platform" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from serve-platform" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from serve-platform" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from serve-platform" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from serve-platform" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from serve-platform" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from serve-platform" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from serve-platform" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from serve-platform" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from serve-platform" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from serve-platform" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from serve-platform" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from serve-platform" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from serve-platform" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from help" -f -a "up" -d 'Start it, or what is missing of it'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from help" -f -a "status" -d 'What runs where'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from help" -f -a "break" -d 'Break something, to practise'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from help" -f -a "mend" -d 'Mend it again'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from help" -f -a "down" -d 'Stop it'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from help" -f -a "serve-platform" -d 'Serve the stand-in platform in the foreground'
complete -c summitctl -n "__fish_summitctl_using_subcommand sandbox; and __fish_seen_subcommand_from help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand explain" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand explain" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand explain" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand explain" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand explain" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand explain" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand explain" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand explain" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand explain" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand explain" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand explain" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand explain" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand explain" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand explain" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand explain" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand explain" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand explain" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand completions" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand completions" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand completions" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand completions" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand completions" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand completions" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand completions" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand completions" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand completions" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand completions" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand completions" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand completions" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand completions" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand completions" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand completions" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand completions" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand completions" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand completions" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand man" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand man" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand man" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand man" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand man" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand man" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand man" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand man" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand man" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand man" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand man" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand man" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand man" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand man" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand man" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand man" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand man" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand man" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand schemas" -s c -l context -d 'Context to work on; `env` is made of the process environment' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand schemas" -l repository -d 'Work on this copy of the repository as if it were the repository itself' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand schemas" -l config -d 'Configuration file [default: summitctl.toml here or above, then in the user\'s configuration folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand schemas" -s o -l output -d 'How results are written to stdout' -r -f -a "human\t'Tables and sentences'
json\t'One JSON document'"
complete -c summitctl -n "__fish_summitctl_using_subcommand schemas" -l events -d 'Write every event as a JSON line to a file, or to stderr with `-`' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand schemas" -l confirm -d 'Consent to a destructive act by naming the context' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand schemas" -l plan -d 'Apply exactly the plan with this digest, or refuse' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand schemas" -s j -l jobs -d 'How many steps and streams may run side by side' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand schemas" -l timeout -d 'Give up after this long, as in `90s` or `15m`. What only looks ends; a run stops at its next safe point, as at Ctrl-C, and can be resumed' -r
complete -c summitctl -n "__fish_summitctl_using_subcommand schemas" -l state-dir -d 'Folder of journals, leases and pins [default: /var/lib/summitctl for root, else ~/.local/state/summitctl]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand schemas" -l sandbox-dir -d 'Folder of the sandbox [default: sandbox under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand schemas" -l evidence-dir -d 'Folder of signed evidence [default: the context\'s, else evidence under the state folder]' -r -F
complete -c summitctl -n "__fish_summitctl_using_subcommand schemas" -l no-input -d 'Never ask; refuse what would need an answer'
complete -c summitctl -n "__fish_summitctl_using_subcommand schemas" -s y -l yes -d 'Consent to a change without being asked'
complete -c summitctl -n "__fish_summitctl_using_subcommand schemas" -l plan-only -d 'Show the plan and its digest, and do nothing'
complete -c summitctl -n "__fish_summitctl_using_subcommand schemas" -s v -l verbose -d 'Say more; twice for every event'
complete -c summitctl -n "__fish_summitctl_using_subcommand schemas" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c summitctl -n "__fish_summitctl_using_subcommand schemas" -s V -l version -d 'Print version'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "init" -d 'Write summitctl.toml from the environment, asking nothing it can find out'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "doctor" -d 'Look at tools, versions, reachability, permissions, keys, disk and clock, and say what mends each finding'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "status" -d 'One screen: health, backup age vs RPO, last drill vs RTO, locks, leases, open runs'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "config" -d 'The handbook\'s variables: present, strong, consistent'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "context" -d 'Named sets of targets'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "smoke" -d 'Parallel health and data-plane probes until a deadline'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "backup" -d 'Verified backups of Postgres, Neo4j and Redis'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "keys" -d 'Who can read the backups'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "kube" -d 'What runs in the cluster'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "restore" -d 'Bring a backup back: beside the live data, verified, then swapped in'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "migrate" -d 'Database migrations: their locks, and whether whoever holds one is alive'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "drill" -d 'DR drills: the newest backup, the real key, scratch servers, every row compared'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "gate" -d 'Go or no-go, from measurements'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "evidence" -d 'Signed records of what was done and seen'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "runbook" -d 'Procedures that a person can read and the program can run'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "run" -d 'Journalled runs of changing commands'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "lease" -d 'Who holds which target'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "golden-path" -d 'The guided first day, on a throw-away sandbox'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "sandbox" -d 'A throw-away stack of real servers to practise on'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "explain" -d 'What an exit code, a reason, a step kind or a handbook script means here'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "completions" -d 'Shell completions on stdout'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "man" -d 'Manual pages into a folder'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "schemas" -d 'JSON schemas of every command\'s output, into a folder'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and not __fish_seen_subcommand_from init doctor status config context smoke backup keys kube restore migrate drill gate evidence runbook run lease golden-path sandbox explain completions man schemas help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "check" -d 'Check the handbook\'s variables; values are never shown'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from config" -f -a "show" -d 'Show every setting of the context and where it came from'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from context" -f -a "list" -d 'All contexts, and which one is used by default'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from context" -f -a "show" -d 'The context in full; secrets by reference only'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from context" -f -a "use" -d 'Make a context the default of this machine'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from context" -f -a "pin" -d 'Record what the context\'s targets are, so that no other is ever changed'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from backup" -f -a "init" -d 'Make the context\'s repository, in a new or empty folder or below a bucket\'s prefix'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from backup" -f -a "create" -d 'Capture the stores into the repository'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from backup" -f -a "list" -d 'Backups, newest first, with what was verified'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from backup" -f -a "show" -d 'One backup in full'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from backup" -f -a "diff" -d 'What changed from one backup to another: rows, bytes, schema'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from backup" -f -a "import" -d 'Make a backup of a dump that another tool made'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from backup" -f -a "verify" -d 'Prove a backup: 1 authentic and complete, 2 every row decoded, 3 restored and compared'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from backup" -f -a "hold" -d 'Keep a backup whatever the rules say'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from backup" -f -a "release" -d 'Let the rules decide on a backup again'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from backup" -f -a "export" -d 'Write a backup as plain files into a folder, in the clear'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from backup" -f -a "prune" -d 'Remove the backups that no rule keeps, and what nothing needs any more'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from backup" -f -a "copy" -d 'Bring what the copies of the repository lack'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from backup" -f -a "forget" -d 'State that a backup which is gone was removed on purpose, so that its segments may be collected'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from backup" -f -a "unlock" -d 'Remove the lock of a process of elsewhere that is surely no more'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "list" -d 'Who can read the backups, who signs them, and when somebody last proved that they can be opened'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "add" -d 'Let somebody read all backups, by their age recipient or SSH key; an escrow key in a safe is an operator, too'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "remove" -d 'Wrap the keys for everybody but this operator. Not a revocation: see `keys new-epoch`'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "rotate" -d 'Give an operator another recipient'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from keys" -f -a "new-epoch" -d 'After a compromise: new keys under a new secret, which share no segment with the old'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from kube" -f -a "show" -d 'Which cluster the context names, who asks it, and as whom it sees us'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from kube" -f -a "rbac" -d 'The Roles and bindings that `smoke` and `doctor` need, as YAML for `kubectl apply -f -`; nothing is changed'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from migrate" -f -a "status" -d 'Which tools manage each Postgres database: what is applied, what failed, and whether a lock is held'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from migrate" -f -a "lock" -d 'The locks of migration tools, and who holds them'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from migrate" -f -a "blockers" -d 'Who blocks whom in Postgres and Neo4j, and which transactions and advisory locks somebody forgot'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from drill" -f -a "run" -d 'Restore the newest backup to scratch servers and compare every row'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from drill" -f -a "history" -d 'Earlier drills, from the evidence'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from gate" -f -a "run" -d 'Evaluate every check of the gate'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from evidence" -f -a "list" -d 'All records'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from evidence" -f -a "show" -d 'One run\'s record'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from evidence" -f -a "verify" -d 'Check every signature and chain, offline'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from evidence" -f -a "export" -d 'Copy one run\'s records to a folder that verifies on its own'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from evidence" -f -a "keygen" -d 'Make a signing key'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from runbook" -f -a "list" -d 'Built-in and local runbooks'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from runbook" -f -a "show" -d 'The runbook\'s text'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from runbook" -f -a "lint" -d 'Problems with their place in the file'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from runbook" -f -a "plan" -d 'What it would do'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from runbook" -f -a "run" -d 'Do it'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from runbook" -f -a "diff" -d 'How a local copy differs from the built-in runbook'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from runbook" -f -a "complete" -d 'What can be completed: runbooks, or the parameters of one'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from runbook" -f -a "new" -d 'A new runbook to start from, on stdout'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from run" -f -a "list" -d 'Runs, newest first'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from run" -f -a "show" -d 'One run: its steps and what they saw'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from run" -f -a "resume" -d 'Go on where it stopped'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from run" -f -a "abort" -d 'Take back what it did, and end it'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from lease" -f -a "show" -d 'Every lease and its holder'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from lease" -f -a "break" -d 'Remove a lease whose holder is known to be dead'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from sandbox" -f -a "up" -d 'Start it, or what is missing of it'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from sandbox" -f -a "status" -d 'What runs where'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from sandbox" -f -a "break" -d 'Break something, to practise'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from sandbox" -f -a "mend" -d 'Mend it again'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from sandbox" -f -a "down" -d 'Stop it'
complete -c summitctl -n "__fish_summitctl_using_subcommand help; and __fish_seen_subcommand_from sandbox" -f -a "serve-platform" -d 'Serve the stand-in platform in the foreground'

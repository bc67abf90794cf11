//! Problems of the daemon's own settings, and of the file as such.

/// Files, each with the beginning of its only problem.
pub const FAULTS: &[(&str, &str)] = &[
    ("[server]\n\nlisten 1", "warden.toml:3:8: "),
    (
        "[server]\nlisten = \"127.0.0.1:1\"\nlisten = \"127.0.0.1:2\"",
        "warden.toml:3:1: `listen` is defined twice: in line 2 and in line 3",
    ),
    (
        "\nserver = 5",
        "warden.toml:2:1: server: is a table and takes no value itself; it holds: cors_origins, \
         external_url, hosts, listen",
    ),
    ("[server.listen]\nx = 1", "warden.toml:1:9: server.listen: takes a value and is not a table"),
    (
        "[sever]\n",
        "warden.toml:1:2: sever: is not a setting; did you mean `server`? The settings here are: server, \
         storage",
    ),
    (
        "[server]\n  listne = 1",
        "warden.toml:2:3: server.listne: is not a setting; did you mean `listen`? The settings here are: \
         listen, external_url",
    ),
    (
        "[server]\nlisten = \"elsewhere:1\"",
        "warden.toml:2:1: server.listen: must be an IP address and a port",
    ),
    (
        "[server]\nexternal_url = \"ftp://x\"",
        "warden.toml:2:1: server.external_url: must begin with http:// or https://",
    ),
    (
        "[server]\nexternal_url = \"http://x/?a\"",
        "warden.toml:2:1: server.external_url: must end with its path",
    ),
    (
        "[server]\nhosts = [\"warden.example\", \"Warden.Example:80\"]",
        "warden.toml:2:28: server.hosts[1]: \"Warden.Example:80\" must be a host alone, without a port, in \
         lower case: write warden.example",
    ),
    (
        "[server]\nhosts = [\"::1\"]",
        "warden.toml:2:10: server.hosts[0]: \"::1\" must be a host alone, without a port, in lower case: \
         write [::1]",
    ),
    ("[server]\nhosts = [\"*\"]", "warden.toml:2:10: server.hosts[0]: \"*\" is no host: name each"),
    ("[server]\nhosts = [\"a@b\"]", "warden.toml:2:10: server.hosts[0]: \"a@b\" is no host, such as"),
    (
        "[server]\ncors_origins = [\"https://ops.example\"]",
        "warden.toml:2:1: server.cors_origins: takes [[tokens]]: without them every page there",
    ),
    (
        "[server]\nshutdown_timeout = \"0s\"",
        "warden.toml:2:1: server.shutdown_timeout: must be more than zero",
    ),
    (
        "storage.engine = \"postgres\"",
        "warden.toml:1:9: storage.engine: must be \"sled\" or \"memory\", but is \"postgres\"",
    ),
    ("storage.path = \"\"", "warden.toml:1:9: storage.path: is empty"),
    ("storage.cache = 1", "warden.toml:1:9: storage.cache: is 1 B, but must be from 1.0 MiB"),
    ("storage.stall_timeout = \"10ms\"", "warden.toml:1:9: storage.stall_timeout: must be at least 1s"),
    (
        "[workflows.a]\nredrive = { url = \"ftp://x\" }",
        "warden.toml:2:13: workflows.a.redrive.url: must begin with http:// or https://",
    ),
    (
        "[workflows.a]\nredrive = { url = \"http://x\", after = \"0s\" }",
        "warden.toml:2:31: workflows.a.redrive.after: must be more than zero",
    ),
    (
        "[workflows.a]\nredrive = { url = \"http://x\", rate = \"fast\" }",
        "warden.toml:2:31: workflows.a.redrive.rate: \"fast\" is no rate",
    ),
    (
        "[workflows.a]\nredrive = { url = \"http://x\", max_attempts = 0 }",
        "warden.toml:2:31: workflows.a.redrive.max_attempts: is 0, but must be from 1 to 1000",
    ),
    (
        "[workflows.a]\nredrive = { url = \"http://x\", secret = \"env:GONE\" }",
        "warden.toml:2:31: workflows.a.redrive.secret: the environment variable GONE is not set",
    ),
    ("[workflows.a]\nredrive = { after = \"1m\" }", "warden.toml:2:1: workflows.a.redrive: `url` is missing"),
    (
        "[workflow_defaults]\nredrive = { rate = \"0/s\" }",
        "warden.toml:2:13: workflow_defaults.redrive.rate: \"0/s\" is no rate",
    ),
    ("[replay]\nrunning_max = 0", "warden.toml:2:1: replay.running_max: is 0, but must be from 1 to 1000"),
    ("[replay]\nitems_max = 0", "warden.toml:2:1: replay.items_max: is 0, but must be from 1 to 100000000"),
    (
        "[replay]\nallow_networks = [\"10.0.0.0/8\", \"10.1.2.3/8\"]",
        "warden.toml:2:33: replay.allow_networks[1]: \"10.1.2.3/8\" is an address within a network: write \
         10.0.0.0/8",
    ),
    (
        "[replay]\nca_file = \"/nowhere/ca.pem\"",
        "warden.toml:2:1: replay.ca_file: cannot read the file \"/nowhere/ca.pem\": No such file",
    ),
    (
        "[replay]\nallow = true",
        "warden.toml:2:1: replay.allow: is not a setting. The settings here are: allow_networks",
    ),
    (
        "[limits]\npayload_max = \"65MiB\"",
        "warden.toml:2:1: limits.payload_max: is 65.0 MiB, but must be from 1 B to 64.0 MiB",
    ),
    ("[limits]\npayload_max = 0", "warden.toml:2:1: limits.payload_max: is 0 B, but must be"),
    ("[limits]\npayload_max = -1", "warden.toml:2:1: limits.payload_max: -1 is not a size"),
    ("[limits]\npayload_max = \"1XB\"", "warden.toml:2:1: limits.payload_max: \"1XB\" is not a size"),
    (
        "[limits]\nbatch_max = \"1KiB\"",
        "warden.toml:2:1: limits.batch_max: is 1.0 KiB, but must be from 1.0 MiB",
    ),
    (
        "[limits]\nheader_max = \"1KiB\"",
        "warden.toml:2:1: limits.header_max: is 1.0 KiB, but must be from 8.0 KiB",
    ),
    ("[limits]\nqueue_max = 0", "warden.toml:2:1: limits.queue_max: is 0, but must be from 1"),
    (
        "[limits]\nworkflows_max = 1\n[workflows.a]\n[workflows.b]",
        "warden.toml:2:1: limits.workflows_max: is 1, but the configuration defines 2",
    ),
    ("[limits]\nqueue_max = 99999999999999999999", "warden.toml:2:1: the number is too large"),
    ("[log]\nlevel = \"warden=loud\"", "warden.toml:2:1: log.level: \"loud\" is no level: write one of off"),
    ("[log]\nlevel = \"warning\"", "warden.toml:2:1: log.level: \"warning\" is no level: write one of off"),
    ("[log]\nlevel = 3", "warden.toml:2:1: log.level: must be a level (off"),
    ("[log]\nformat = \"xml\"", "warden.toml:2:1: log.format: must be \"text\" or \"json\", but is \"xml\""),
];

//! Problems of workflows, alerting and receivers.

/// Files, each with the beginning of its only problem.
pub const FAULTS: &[(&str, &str)] = &[
    ("[alerting]\ngroup_wait = 10", "warden.toml:2:1: alerting.group_wait: must be a duration with its unit"),
    (
        "[alerting]\ngroup_interval = \"0s\"",
        "warden.toml:2:1: alerting.group_interval: must be more than zero",
    ),
    (
        "[alerting]\nflapping_after = 21",
        "warden.toml:2:1: alerting.flapping_after: is 21, but must be at most 20",
    ),
    (
        "[workflows.a]\nflapping_window = \"0s\"",
        "warden.toml:2:1: workflows.a.flapping_window: must be more than zero",
    ),
    (
        "[alerting]\ngrow_factor = nan",
        "warden.toml:2:1: alerting.grow_factor: is NaN, but must be more than 1",
    ),
    (
        "[alerting]\nseverity = \"very bad\"",
        "warden.toml:2:1: alerting.severity: must be \"info\", \"warning\", \"error\" or \"critical\", but \
         is",
    ),
    (
        "[alerting]\nreceivers = [\n  \"oncall\"\n]",
        "warden.toml:3:3: alerting.receivers[0]: there is no receiver \"oncall\"; none is defined",
    ),
    (
        "[workflow_defaults]\ndeadline = \"0s\"",
        "warden.toml:2:1: workflow_defaults.deadline: must be more than zero",
    ),
    (
        "[workflow_defaults]\ndeadline = \"11years\"",
        "warden.toml:2:1: workflow_defaults.deadline: \"11years\" is too long",
    ),
    (
        "[workflow_defaults]\nkeep_payload = \"2days\"",
        "warden.toml:2:1: workflow_defaults.keep_payload: payloads would be kept for 2days",
    ),
    (
        "[receiver_defaults]\nconcurrency = 0",
        "warden.toml:2:1: receiver_defaults.concurrency: is 0, but must be",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\n[receivers.b]\nurl = \
         \"http://x\"\n[workflows.uploads]\nreceivers = [\"a\", \"c\"]",
        "warden.toml:6:19: workflows.uploads.receivers[1]: there is no receiver \"c\"; defined are: a, b",
    ),
    (
        "[receivers.a]\nurl = \"http://x\"\n[workflows.uploads]\nreceivers = [\"a\", \"a\"]",
        "warden.toml:4:19: workflows.uploads.receivers[1]: names the receiver \"a\" a second time",
    ),
    ("[workflows.\"a/b\"]\n", "warden.toml:1:12: workflows.\"a/b\": \"a/b\" is no valid workflow name"),
    ("[server]\n\"a\\nb\" = 1", "warden.toml:2:1: server.\"a\\nb\": is not a setting"),
    ("workflows = 5", "warden.toml:1:1: workflows: must be a table, but is the number 5"),
    ("[workflows.a]\ndeadline = \"0s\"", "warden.toml:2:1: workflows.a.deadline: must be more than zero"),
    (
        "[workflows.a]\ndeadline = \"15\"",
        "warden.toml:2:1: workflows.a.deadline: \"15\" is not a duration: time unit needed",
    ),
    (
        "[workflows.a]\nkeep_payload = \"25h\"",
        "warden.toml:2:1: workflows.a.keep_payload: payloads would be kept for 1day 1h",
    ),
    (
        "[workflow_defaults]\nkeep_payload = \"1h\"\n[workflows.a]\nretention = \"1m\"",
        "warden.toml:4:1: workflows.a.retention: payloads",
    ),
    (
        "[workflows.a]\nretention_max = -1",
        "warden.toml:2:1: workflows.a.retention_max: must be a whole number, not below 0 and not too large, \
         but is the number -1",
    ),
    (
        "[workflows.a]\nretry = { max = 1001 }",
        "warden.toml:2:11: workflows.a.retry.max: is 1001, but must be from 0 to 1000",
    ),
    (
        "[workflows.a]\nretry = { backoff = \"10m..10s\" }",
        "warden.toml:2:11: workflows.a.retry.backoff: \"10m..10s\" is not a backoff",
    ),
    (
        "[workflow_defaults]\nretry = { jitter = 1.5 }",
        "warden.toml:2:11: workflow_defaults.retry.jitter: is 1.5, but must be from 0 to 1",
    ),
    ("[workflows.a]\nrunbook_url = \"wiki\"", "warden.toml:2:1: workflows.a.runbook_url: is not a URL"),
    (
        "[workflows.a]\nsteps = [\"copy\",\n\"copy\"]",
        "warden.toml:3:1: workflows.a.steps[1]: names the step \"copy\" a second time",
    ),
    ("[workflows.a]\nsteps = [\"\"]", "warden.toml:2:10: workflows.a.steps[0]: \"\" is no valid step name"),
    ("[workflows.a]\nsteps = [5]", "warden.toml:2:10: workflows.a.steps[0]: must be the name of a step"),
    (
        "[workflows.a]\nsteps = [\n{ name = \"copy\", dead = 1 }]",
        "warden.toml:3:18: workflows.a.steps[0].dead: is not a setting. The settings here are: name, \
         deadline",
    ),
    (
        "[workflows.a]\nsteps = [{ name = \"copy\", deadline = \"0s\" }]",
        "warden.toml:2:27: workflows.a.steps[0].deadline: must be more",
    ),
    (
        "[workflows.a]\nexpect = {}",
        "warden.toml:2:1: workflows.a.expect: needs `cron`, `every` or `success_every`",
    ),
    (
        "[workflows.a]\nexpect = \"@daily\"",
        "warden.toml:2:1: workflows.a.expect: must be a table, but is the text",
    ),
    (
        "[workflows.a]\nexpect = { cron = \"@daily\", every = \"1h\" }",
        "warden.toml:2:1: workflows.a.expect: takes either",
    ),
    (
        "[workflows.a]\nexpect = { cron = \"0 2 * *\", grace = \"1m\" }",
        "warden.toml:2:12: workflows.a.expect.cron: \"0 2 * *\" is not a cron pattern: it takes 5 fields",
    ),
    (
        "[workflows.a.expect]\ncron = \"0 0 30 2 *\"\ngrace = \"1m\"",
        "warden.toml:2:1: workflows.a.expect.cron: \"0 0 30 2 *\" never",
    ),
    (
        "[workflows.a]\nexpect = { cron = \"@daily\", grace = \"1m\", timezone = \"CEST\" }",
        "warden.toml:2:43: workflows.a.expect.timezone: there is no time zone \"CEST\"",
    ),
    (
        "[workflows.a]\nexpect = { every = \"1h\", timezone = \"UTC\" }",
        "warden.toml:2:26: workflows.a.expect.timezone: has an effect only together with `cron`",
    ),
    ("[workflows.a]\nexpect = { cron = \"@daily\" }", "warden.toml:2:1: workflows.a.expect: needs a `grace`"),
    (
        "[workflows.a]\nexpect = { cron = \"@daily\", grace = \"0s\" }",
        "warden.toml:2:29: workflows.a.expect.grace: must be more than zero",
    ),
    (
        "[workflows.a]\nexpect = { every = \"0s\" }",
        "warden.toml:2:12: workflows.a.expect.every: must be at least 1s",
    ),
    (
        "[workflows.a]\nexpect = { every = \"1h\", min_items = 0 }",
        "warden.toml:2:26: workflows.a.expect.min_items: must be more than zero",
    ),
    (
        "[workflows.a]\nexpect = { every = \"1h\", items = 2 }",
        "warden.toml:2:26: workflows.a.expect.items: is not a setting. The settings here are: cron",
    ),
    (
        "[workflow_defaults]\nexpect = { every = \"1h\" }",
        "warden.toml:2:1: workflow_defaults.expect: is not a setting",
    ),
    ("[tokens]\nname = \"a\"", "warden.toml:1:2: tokens: must be a list, but is a table"),
];

// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references in configuration files look like this
/** A file that is refused, and everything that is said about it. */
export interface BadFile {
  title: string
  yaml: string
  says: string[]
}

/** A good start that most of the bad files spoil further down: it ends inside `environments.production`. */
const shop = (rest: string): string => `name: shop
environments:
  production:
    url: \${env:PRODUCTION_DATABASE_URL}
${rest}`

export const BAD_FILES: BadFile[] = [
  {
    title: 'an unknown key beside its nearest',
    yaml: shop('    migratr: { kind: umzug }'),
    says: ['5:5: unknown key "migratr" in environments.production, did you mean "migrator"?'],
  },
  {
    title: 'an unknown key at the top',
    yaml: `consumer: {}\n${shop('')}`,
    says: ['1:1: unknown key "consumer" at the top of the file, did you mean "consumers"?'],
  },
  {
    title: 'an unknown key inside one kind of migrator',
    yaml: shop('    migrator: { kind: alembic, cofnig: db/alembic.ini }'),
    says: ['5:32: unknown key "cofnig" in environments.production.migrator, did you mean "config"?'],
  },
  {
    title: 'a key of another kind, where the known ones are few',
    yaml: shop('    migrator: { kind: umzug, up: [make, migrate] }'),
    says: [
      '5:30: unknown key "up" in environments.production.migrator; known: kind, dir, table, init, driver, image, service, container',
    ],
  },
  {
    title: 'an unknown key inside one kind of check, which is known by its own',
    yaml: shop('    smoke: [{ metrics: "https://prometheus", qurey: up }, { slots: [cdc], within: 5 }]'),
    says: [
      '5:13: environments.production.smoke[0].query is missing: it is text',
      '5:46: unknown key "qurey" in environments.production.smoke[0], did you mean "query"?',
      '5:83: environments.production.smoke[1].within is not right: a duration is a number and ms, s, m, h or d: 90s',
    ],
  },
  {
    title: 'tokens and passwords that are written out, and a webhook that anybody could post to',
    yaml: shop(`    autodeploy: [{ kind: github, repository: acme/shop, workflow: deploy.yml, token: hunter2 }]
    notify:
      - { kind: slack, url: "https://hooks.slack.com/services/T0/B0/hunter2" }
      - { kind: email, host: mail, from: a@example.com, to: [b@example.com], username: a, password: hunter2 }`),
    says: [
      '5:86: environments.production.autodeploy[0].token holds a secret; write a reference: ${env:PRODUCTION_AUTODEPLOY_TOKEN}',
      '7:29: environments.production.notify[0].url holds a secret; write a reference: ${env:PRODUCTION_NOTIFY_URL}',
      '8:101: environments.production.notify[1].password holds a secret; write a reference: ${env:PRODUCTION_NOTIFY_PASSWORD}',
    ],
  },
  {
    title: 'an autodeploy that lacks what it needs',
    yaml: shop('    autodeploy: [{ kind: github, repository: shop, workflow: ../deploy.yml }]'),
    says: [
      '5:18: environments.production.autodeploy[0].token is missing: it is text',
      '5:46: environments.production.autodeploy[0].repository is not right: a repository is owner/name',
      '5:62: environments.production.autodeploy[0].workflow is not right: a workflow is the name of its file, or its id',
    ],
  },
  {
    title: 'migrations that are in two images',
    yaml: shop('    migrator: { kind: alembic, image: "shop:{tag}", service: admin }'),
    says: ['5:53: environments.production.migrator has image and service: the migrations are in one of them'],
  },
  {
    title: 'an image that no release has for itself',
    yaml: shop('    migrator: { kind: alembic, image: shop }'),
    says: [
      '5:39: environments.production.migrator.image is the same for each release: write {tag} where its tag stands',
    ],
  },
  {
    title: 'a Compose service that does not know the tag',
    yaml: shop('    migrator: { kind: alembic, service: admin }'),
    says: [
      '5:32: environments.production.migrator.service is the same for each release: write environments.production.migrator.container.tagVariable, from which the Compose files take the tag',
    ],
  },
  {
    title: 'a driver that needs the proxy, where Compose makes the network',
    yaml: shop('    migrator: { kind: alembic, service: admin, driver: other, container: { tagVariable: TAG } }'),
    says: [
      '5:56: environments.production.migrator.driver: other needs a proxy on 127.0.0.1, which a container of Compose does not reach: write image, not service',
    ],
  },
  {
    title: 'a driver that needs the proxy, in a network where it is not',
    yaml: shop('    migrator: { kind: alembic, image: "shop:{tag}", driver: other, container: { network: shop } }'),
    says: [
      '5:81: environments.production.migrator.container.network: environments.production.migrator.driver: other needs a proxy on 127.0.0.1, which the container does not reach then',
    ],
  },
  {
    title: 'a container of nothing',
    yaml: shop('    migrator: { kind: sqlx, container: { host: db } }'),
    says: ['5:29: environments.production.migrator.container is for a migrator with image or service'],
  },
  {
    title: 'a typing mistake in a default that every environment overrides',
    yaml: `migrator: { kind: umzug, folder: db }\n${shop('    migrator: { kind: alembic }')}`,
    says: ['1:26: unknown key "folder" in migrator; known: kind, dir, table, init, driver, image, service, container'],
  },
  {
    title: 'a key of an environment at the top',
    yaml: `url: \${env:DATABASE_URL}\n${shop('')}`,
    says: ['1:1: "url" cannot stand at the top: it belongs into an environment'],
  },
  {
    title: 'a password in a URL',
    yaml: 'name: shop\nenvironments:\n  production:\n    url: postgres://ana:hunter2@db:5432/shop\n',
    says: ['4:10: environments.production.url holds a password; write a reference: ${env:PRODUCTION_DATABASE_URL}'],
  },
  {
    title: 'a password with a slash and an @',
    yaml: shop('    urls: { backup: "postgresql://ana:hun/ter@2@db/shop" }'),
    says: [
      '5:21: environments.production.urls.backup holds a password; write a reference: ${env:PRODUCTION_URLS_BACKUP}',
    ],
  },
  {
    title: 'a password as a parameter, as conninfo, in a command and in a header',
    yaml: `journal: { url: "postgres://db/journal?user=ana&password=hunter2" }
services: { api: { kind: command, deploy: [sh, -c, "PGPASSWORD=hunter2 psql"] } }
smoke: [{ http: "https://shop/health", headers: { Authorization: Bearer hunter2 } }]
name: shop
environments:
  staging:
    url: host=db user=ana password=hunter2
`,
    says: [
      '1:17: journal.url holds a password; write a reference: ${env:JOURNAL_URL}',
      '2:52: services.api.deploy[2] holds a password; write a reference: ${env:SERVICES_API_DEPLOY}',
      '3:66: smoke[0].headers.Authorization holds a secret; write a reference: ${env:SMOKE_HEADERS_AUTHORIZATION}',
      '7:10: environments.staging.url holds a password; write a reference: ${env:STAGING_DATABASE_URL}',
    ],
  },
  {
    title: 'a password half of which is a reference',
    yaml: 'name: shop\nenvironments: { staging: { url: "postgres://ana:hunter2${env:REST}@db/shop" } }\n',
    says: ['2:33: environments.staging.url holds a password; write a reference: ${env:STAGING_DATABASE_URL}'],
  },
  {
    title: 'a missing url, with the line to write',
    yaml: 'name: shop\nenvironments:\n  staging:\n  blue-green:\n    protected: true\n',
    says: [
      '3:3: environments.staging.url is missing: write ${env:STAGING_DATABASE_URL}',
      '4:3: environments.blue-green.url is missing: write ${env:BLUE_GREEN_DATABASE_URL}',
    ],
  },
  {
    title: 'neither name nor environments',
    yaml: 'pause: []\n',
    says: ['1:1: name is missing: it names the project', '1:1: environments is missing: it needs at least one'],
  },
  {
    title: 'no environment',
    yaml: 'name: shop\nenvironments: {}\n',
    says: ['2:1: environments is empty: it needs at least one'],
  },
  {
    title: 'names that are none',
    yaml: 'name: Shop\nenvironments:\n  Production_1: { url: x }\n',
    says: [
      '1:7: name is not right: a name is 1 to 20 of a-z, 0-9 and -, and starts with a letter',
      '3:3: the environment "Production_1" is not named right: a name is 1 to 20 of a-z, 0-9 and -, and starts with a letter',
    ],
  },
  {
    title: 'a consumer that is not named right',
    yaml: shop('    consumers: { Orders: { kind: command, pause: [a], resume: [b], status: [c] } }'),
    says: [
      '5:18: environments.production.consumers.Orders is not named right: a name is 1 to 20 of a-z, 0-9 and -, and starts with a letter',
    ],
  },
  {
    title: 'a kind that does not exist',
    yaml: shop('    migrator: { kind: almbic }\n    services: { api: { kind: compse } }'),
    says: [
      '5:23: environments.production.migrator.kind must be "umzug", "alembic", "sqlx" or "command", did you mean "alembic"?',
      '6:30: environments.production.services.api.kind must be "command", "compose" or "kubernetes", did you mean "compose"?',
    ],
  },
  {
    title: 'workloads of Kubernetes that are no workloads, and an image that is the same for each release',
    yaml: shop(
      '    services: { api: { kind: kubernetes, workloads: [pod/api, deployment/--all], image: "shop:latest", namespace: Shop } }',
    ),
    says: [
      '5:54: environments.production.services.api.workloads[0] is not right: a workload is deployment/name or statefulset/name',
      '5:63: environments.production.services.api.workloads[1] is not right: a workload is deployment/name or statefulset/name',
      '5:89: environments.production.services.api.image is not right: an image is registry/name:{tag}',
      '5:115: environments.production.services.api.namespace is not right: a namespace is of a-z, 0-9, - and .',
    ],
  },
  {
    title: 'nobody to block',
    yaml: shop('    quiesce: { roles: [] }'),
    says: ['5:23: environments.production.quiesce.roles is empty'],
  },
  {
    title: 'a missing kind',
    yaml: shop('    migrator: { dir: db }'),
    says: [
      '5:5: environments.production.migrator.kind is missing: write one of "umzug", "alembic", "sqlx" or "command"',
    ],
  },
  {
    title: 'a consumer without its status',
    yaml: shop('    consumers: { orders: { kind: command, pause: [a], resume: [b] } }'),
    says: ['5:18: environments.production.consumers.orders.status is missing: it is a list'],
  },
  {
    title: 'a command that is a line for a shell',
    yaml: shop('    services: { api: { kind: command, deploy: "deploy {tag}", stop: [] } }'),
    says: [
      '5:47: environments.production.services.api.deploy must be a list',
      '5:69: environments.production.services.api.stop is empty',
    ],
  },
  {
    title: 'durations without a unit and of words',
    yaml: shop('    locks: { timeout: 5, budget: a minute }\n    heartbeat: 10 s'),
    says: [
      '5:23: environments.production.locks.timeout is not right: a duration is a number and ms, s, m, h or d: 90s',
      '5:34: environments.production.locks.budget is not right: a duration is a number and ms, s, m, h or d: 90s',
      '6:16: environments.production.heartbeat is not right: a duration is a number and ms, s, m, h or d: 90s',
    ],
  },
  {
    title: 'words that are not among the known ones',
    yaml: shop('    quiesce: service\n    onFailure: explode\n    backup: { kind: dmp }'),
    says: [
      '5:14: environments.production.quiesce must be "auto", "services", "none" or a mapping, did you mean "services"?',
      '6:16: environments.production.onFailure must be "compensate" or "hold"',
      '7:21: environments.production.backup.kind must be "auto", "clone" or "dump", did you mean "dump"?',
    ],
  },
  {
    title: 'numbers out of range',
    yaml: shop(
      '    backup: { jobs: 99 }\n    smoke: [{ http: "https://shop", expectStatus: 20 }]\n    approval: { count: 1.5 }',
    ),
    says: [
      '5:21: environments.production.backup.jobs must be at most 32',
      '6:51: environments.production.smoke[0].expectStatus must be at least 100',
      '7:24: environments.production.approval.count must be a whole number',
    ],
  },
  {
    title: 'a block that is something else',
    yaml: shop('    backup: true\n    approval: nobody\n    consumers: [orders]\n    verify: { name: a }'),
    says: [
      '5:13: environments.production.backup must be false or a mapping',
      '6:15: environments.production.approval must be "none" or a mapping',
      '7:16: environments.production.consumers must be a mapping',
      '8:13: environments.production.verify must be a list',
    ],
  },
  {
    title: 'text that YAML takes for something else',
    yaml: shop('    verify: [{ name: 1.10, sql: select 1, expect: [1] }]\n    migrator: { kind: umzug, dir: {tag} }'),
    says: [
      '5:22: environments.production.verify[0].name must be text: put it in quotes',
      '5:51: environments.production.verify[0].expect must be text, a number, true or false or null',
      '6:35: environments.production.migrator.dir must be text: put it in quotes',
    ],
  },
  {
    title: 'a URL that is none, a store that is none, a table that would be SQL',
    yaml: shop(
      '    notify: [{ kind: webhook, url: "ftp://x" }]\n    backup: { to: s3://x }\n    migrator: { kind: umzug, table: "a; drop table b" }',
    ),
    says: [
      '5:36: environments.production.notify[0].url is not right: a URL starts with http:// or https://',
      '6:19: environments.production.backup.to is not right: a store is file:///absolute/path',
      '7:37: environments.production.migrator.table is not right: a table is table or schema.table, in lower case',
    ],
  },
  {
    title: 'references in forms of other tools',
    yaml: 'name: shop\nenvironments:\n  staging:\n    url: ${DATABASE_URL}\n    urls: { backup: "${vault:x}", verify: "${env:A B}" }\n',
    says: [
      '4:10: environments.staging.url holds a reference that cannot be read: write ${env:NAME}, ${file:/path} or ${command:["program","argument"]}',
      '5:21: environments.staging.urls.backup holds a reference that cannot be read: write ${env:NAME}, ${file:/path} or ${command:["program","argument"]}',
      '5:43: environments.staging.urls.verify holds a reference that cannot be read: write ${env:NAME}, ${file:/path} or ${command:["program","argument"]}',
    ],
  },
  {
    title: 'a reference where a number stands',
    yaml: shop('    backup: { jobs: "${env:JOBS}" }'),
    says: ['5:21: environments.production.backup.jobs must be a number'],
  },
  {
    title: 'a pause of what is no consumer, and twice',
    yaml: shop(
      '    consumers: { orders: { kind: command, pause: [a], resume: [b], status: [c] } }\n    pause: [ordrs, orders, orders]',
    ),
    says: [
      '6:13: environments.production.pause[0] names no consumer of environments.production, did you mean "orders"?',
      '6:28: environments.production.pause[2] names a consumer twice',
    ],
  },
  {
    title: 'a pause without any consumer',
    yaml: shop('    pause: [orders]'),
    says: ['5:13: environments.production.pause[0] names no consumer of environments.production; known: none'],
  },
  {
    title: 'kept stopped: what is not deployed, and all that is',
    yaml: shop(
      '    services:\n      a: { kind: compose, services: [api], keepStopped: [jobs], tagVariable: T }\n      b: { kind: compose, services: [web], keepStopped: [web], tagVariable: T }',
    ),
    says: [
      '6:58: environments.production.services.a.keepStopped[0] is none of environments.production.services.a.services',
      '7:58: environments.production.services.b.keepStopped names all of them: nothing would be started',
    ],
  },
  {
    title: "a queue of a service that is no queue, and one that is the environment's own",
    yaml: shop(
      '    queue: shop-runs\n    services:\n      a: { kind: command, deploy: [a], queue: shop-runs }\n      b: { kind: command, deploy: [b], queue: "two words" }',
    ),
    says: [
      "7:47: environments.production.services.a.queue is the environment's own queue: leave it out for a service beside the database",
      '8:47: environments.production.services.b.queue is not right: a queue is 1 to 100 of letters, digits, . _ -',
    ],
  },
  {
    title: 'tools that are nowhere',
    yaml: shop('    tools: { container: { network: host } }'),
    says: ['5:5: environments.production.tools has either image or service'],
  },
  {
    title: 'two of autodeploy with one name',
    yaml: shop(
      '    autodeploy:\n      - { kind: command, name: ci, hold: [a], release: [b], status: [c] }\n      - { kind: command, name: ci, hold: [d], release: [e], status: [f] }',
    ),
    says: ['7:32: environments.production.autodeploy[1].name: another entry of autodeploy is called "ci" too'],
  },
  {
    title: 'more approvals than approvers',
    yaml: shop('    approval: { from: [ana, ana], count: 2, allowedSigners: signers }'),
    says: [
      '5:42: environments.production.approval.count asks for 2 approvals and environments.production.approval.from names 1',
    ],
  },
  {
    title: 'approvers of a protected environment whose approvals nobody can verify',
    yaml: `approval: { from: [ana] }\n${shop('  staging: { url: x }')}`,
    says: [
      '1:1: approvals of environments.production could not be verified: it is protected, so write approval.allowedSigners, or approval: none',
    ],
  },
  {
    title: 'a key that stands twice',
    yaml: shop('    url: ${env:OTHER}'),
    says: ['5:5: the key "url" stands here twice'],
  },
  {
    title: 'keys that reach an object`s prototype',
    yaml: shop('    __proto__: { protected: false }\n    services: { constructor: {} }'),
    says: ['5:5: the key "__proto__" is not allowed', '6:17: the key "constructor" is not allowed'],
  },
  {
    title: 'an alias that stands for itself',
    yaml: 'name: shop\nenvironments: &a { production: *a }\n',
    says: ['2:32: an alias has no anchor above it'],
  },
  {
    title: 'a tag that would make something else of a value',
    yaml: 'name: !!js/function "hunter2"\nenvironments: {}\n',
    says: ['1:7: unknown tag: values are text, numbers, true, false, null, lists and mappings'],
  },
  {
    title: 'a reference without quotes inside { }',
    yaml: 'name: shop\nenvironments:\n  staging: { url: ${env:STAGING_DATABASE_URL} }\n',
    says: ['3:20: inside { } and [ ] a reference needs quotes'],
  },
  {
    title: 'a tab',
    yaml: 'name: shop\nenvironments:\n\tstaging: {}\n',
    says: ['3:1: a tab cannot indent: use spaces'],
  },
  {
    title: 'a second document',
    yaml: 'name: shop\n---\nname: hunter2\n',
    says: ['2:1: a second document starts here: one file is one project'],
  },
  { title: 'a list', yaml: '- name: shop\n', says: ['1:1: the file must be a mapping with `name` and `environments`'] },
  { title: 'nothing', yaml: '# later\n', says: [' the file must be a mapping with `name` and `environments`'] },
]

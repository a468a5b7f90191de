import { z } from 'zod'
import { SmokeCheck, VerifyCheck } from './configuration-checks.js'
import { ComposeServices, composeKeys, KeptServices, TagVariable } from './configuration-compose.js'
import { kubernetesKeys, ReleaseImage, Workloads } from './configuration-kubernetes.js'
import { ContainerConfiguration, MigratorConfiguration } from './configuration-migrator.js'
import { Command, Duration, Headers, HttpUrl, Text } from './configuration-scalars.js'
import { Name } from './names.js'
import { Waiver } from './review.js'

const sasl = <Mechanism extends string>(mechanism: Mechanism) =>
  z.strictObject({ mechanism: z.literal(mechanism), username: Text, password: Text })

const KafkaGroup = z
  .strictObject({
    brokers: z
      .array(z.string().regex(/^[^\s/:]+:\d{1,5}$|^\[[0-9a-fA-F:]+\]:\d{1,5}$/, 'a broker is host:port'))
      .min(1),
    id: Text.describe('Of the consumer group'),
    members: z
      .enum(['none', 'any'])
      .prefault('none')
      .describe(
        'Of a paused one. none: who stays in the group still counts as in flight; any: they stay, and take nothing',
      ),
    maxLag: z.int().min(0).optional().describe('Messages that may wait at most before it counts as moving again'),
    ssl: z.boolean().prefault(false).describe('TLS, with the certificates that the worker trusts'),
    sasl: z.discriminatedUnion('mechanism', [sasl('plain'), sasl('scram-sha-256'), sasl('scram-sha-512')]).optional(),
  })
  .describe('Its Kafka consumer group, asked by kafkajs: no members, offsets that stand, a lag that falls')
export type KafkaGroup = z.infer<typeof KafkaGroup>

const Within = Duration.prefault('60s').describe('How long a pause or resume may take')

const everyConsumer = {
  within: Within,
  group: KafkaGroup.optional(),
}

export const ConsumerConfiguration = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('http').describe('A consumer with three URLs'),
    pause: HttpUrl.describe('POST: stop consuming'),
    resume: HttpUrl.describe('POST: consume again'),
    status: HttpUrl.describe('GET: {"state":"paused"|"running","inFlight":n}'),
    headers: Headers,
    ...everyConsumer,
  }),
  z.strictObject({
    kind: z.literal('command').describe('A consumer steered by programs'),
    pause: Command.describe('Stop consuming'),
    resume: Command.describe('Consume again'),
    status: Command.describe('Prints {"state":"paused"|"running","inFlight":n}'),
    ...everyConsumer,
  }),
  z.strictObject({
    kind: z.literal('kafka-connect').describe('Connectors of a Kafka Connect cluster'),
    url: HttpUrl.describe("Where Connect's REST interface is"),
    connectors: z.array(Text).min(1).describe('Their names; paused and resumed as one'),
    by: z
      .enum(['stop', 'pause'])
      .prefault('stop')
      .describe(
        'stop: their tasks end, with their sessions (Connect 3.5 and later); pause: their tasks stay, and wait',
      ),
    headers: Headers,
    ...everyConsumer,
  }),
  z.strictObject({
    kind: z.literal('compose').describe('Services of a Compose project that consume: stopped, and started again'),
    services: ComposeServices,
    ...composeKeys,
    tagVariable: TagVariable.optional(),
    ...everyConsumer,
  }),
  z.strictObject({
    kind: z
      .literal('kubernetes')
      .describe('Workloads of a Kubernetes namespace that consume: scaled to nothing, and back'),
    workloads: Workloads,
    ...kubernetesKeys,
    ...everyConsumer,
  }),
])
export type ConsumerConfiguration = z.infer<typeof ConsumerConfiguration>

export const Ready = z.strictObject({
  url: HttpUrl.describe('Answers 200 once the service is ready'),
  within: Duration.prefault('180s').describe('How long it may take'),
  ignoreWhilePaused: z
    .array(Text)
    .prefault([])
    .describe('Sub-checks that may be stale while the run has paused what feeds them'),
  versionCheck: Text.prefault('migrations').describe("Name of the sub-check that tells the migration's version"),
})
export type Ready = z.infer<typeof Ready>

const Queue = z.string().regex(/^[A-Za-z0-9._-]{1,100}$/, 'a queue is 1 to 100 of letters, digits, . _ -')

const everyService = {
  queue: Queue.optional().describe(
    'It is on another host: `headgate worker --queue NAME` runs there, with this file, and does to it what runs ask for',
  ),
  within: Duration.prefault('180s').describe('How long a deploy, start or stop may take'),
  ready: Ready.optional().describe('How to tell that it is ready'),
}

export const ServiceConfiguration = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('command').describe('A service deployed and restarted by programs'),
    deploy: Command.describe('Puts {tag} into service and starts it'),
    start: Command.optional().describe('Starts what is deployed'),
    stop: Command.optional().describe('Stops it: without this the gate cannot be closed by stopping it'),
    current: Command.optional().describe('Prints the tag that runs now, or nothing'),
    status: Command.optional().describe(
      'Prints {"state":"running"|"stopped"}; without it a service that was stopped before the run is started after it',
    ),
    exists: Command.optional().describe('Exit 0: {tag} can be deployed; 1: it cannot'),
    ...everyService,
  }),
  z.strictObject({
    kind: z.literal('compose').describe('Services of a Compose project, deployed together'),
    services: ComposeServices,
    keepStopped: KeptServices,
    ...composeKeys,
    tagVariable: TagVariable,
    ...everyService,
  }),
  z.strictObject({
    kind: z.literal('kubernetes').describe('Workloads of a Kubernetes namespace, deployed together'),
    workloads: Workloads,
    image: ReleaseImage,
    ...kubernetesKeys,
    ...everyService,
  }),
])
export type ServiceConfiguration = z.infer<typeof ServiceConfiguration>

export const NotifierConfiguration = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('webhook').describe('POSTs each event as JSON'),
    url: HttpUrl.describe('Where to'),
    headers: Headers,
  }),
  z.strictObject({
    kind: z.literal('slack').describe('Posts each event to a Slack channel'),
    url: HttpUrl.describe('Of an incoming webhook, by reference: whoever has it can post'),
  }),
  z.strictObject({
    kind: z.literal('email').describe('Sends each event as a message by SMTP, with nodemailer'),
    host: Text.describe('Of the mail server'),
    port: z.int().min(1).max(65_535).prefault(587),
    tls: z
      .enum(['starttls', 'always', 'none'])
      .prefault('starttls')
      .describe(
        'starttls: refused where the server has none; always: from the first byte, mostly on port 465; none: in clear text',
      ),
    username: Text.optional(),
    password: Text.optional().describe('By reference'),
    from: Text.describe('An address'),
    to: z.array(Text).min(1).describe('Addresses'),
  }),
  z.strictObject({
    kind: z.literal('command').describe('Runs a program for each event'),
    command: Command.describe('Gets the event as JSON on its standard input'),
  }),
])
export type NotifierConfiguration = z.infer<typeof NotifierConfiguration>

const everyAutodeploy = {
  name: Text.optional().describe('For reports; without it the kind and what it holds'),
  running: z
    .enum(['wait', 'ignore'])
    .prefault('wait')
    .describe('What of it is under way when it is held. wait: for its end, within; ignore: it is told of'),
  within: Duration.prefault('10m').describe('How long that may take'),
}
const Token = Text.describe('By reference')

export const AutodeployConfiguration = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('github').describe('A workflow of GitHub Actions, disabled and enabled'),
    url: HttpUrl.prefault('https://api.github.com').describe('Of the API'),
    repository: z.string().regex(/^[\w.-]+\/[\w.-]+$/, 'a repository is owner/name'),
    workflow: z
      .string()
      .regex(/^[\w.-]+$/, 'a workflow is the name of its file, or its id')
      .describe('deploy.yml, or its id'),
    token: Token,
    ...everyAutodeploy,
  }),
  z.strictObject({
    kind: z.literal('gitlab').describe('A deploy freeze of a GitLab project'),
    url: HttpUrl.prefault('https://gitlab.com').describe('Of the server'),
    project: Text.describe('group/name, or its id'),
    token: Token,
    deployments: Text.optional().describe(
      'The name of the environment in GitLab, whose running deployments count; without it nothing counts as under way',
    ),
    ...everyAutodeploy,
  }),
  z.strictObject({
    kind: z.literal('jenkins').describe('A job of Jenkins, disabled and enabled'),
    url: HttpUrl.describe('Of the job: https://jenkins.example.com/job/FOLDER/job/NAME'),
    user: Text,
    token: Token,
    ...everyAutodeploy,
  }),
  z.strictObject({
    kind: z.literal('http').describe('Anything with three URLs'),
    hold: HttpUrl.describe('POST: begin nothing any more'),
    release: HttpUrl.describe('POST: go on'),
    status: HttpUrl.describe('GET: {"state":"on"|"held","running":n}'),
    headers: Headers,
    ...everyAutodeploy,
  }),
  z.strictObject({
    kind: z.literal('command').describe('Anything steered by programs'),
    hold: Command.describe('Begin nothing any more'),
    release: Command.describe('Go on'),
    status: Command.describe('Prints {"state":"on"|"held","running":n}'),
    ...everyAutodeploy,
  }),
])
export type AutodeployConfiguration = z.infer<typeof AutodeployConfiguration>

export const BackupConfiguration = z.union([
  z.literal(false).describe('No backup: the only way back is forward'),
  z.strictObject({
    kind: z
      .enum(['auto', 'clone', 'dump'])
      .prefault('auto')
      .describe('auto: a clone where gate and rights allow, and a dump'),
    to: z
      .string()
      .regex(/^file:\/\/\//, 'a store is file:///absolute/path')
      .optional()
      .describe('file:///absolute/path: the folder dumps and manifests go to'),
    jobs: z.int().min(1).max(32).prefault(2).describe('How many tables are dumped or restored at a time'),
  }),
])
export type BackupConfiguration = z.infer<typeof BackupConfiguration>

export const ApprovalConfiguration = z.union([
  z.literal('none').describe('Nobody is asked, not before contract stages either'),
  z.strictObject({
    before: z
      .array(z.enum(['expand', 'contract']))
      .prefault(['contract'])
      .describe('Which stages wait for a person'),
    from: z.array(Text).prefault([]).describe('Who may approve; empty: anybody'),
    count: z.int().min(1).max(10).prefault(1).describe('How many must'),
    timeout: Duration.prefault('3d').describe('How long a run waits before it is deferred'),
    allowedSigners: Text.optional().describe(
      "OpenSSH allowed_signers file on the worker's host; where it is set only verified approvals count",
    ),
    requesterMayApprove: z
      .boolean()
      .prefault(false)
      .describe('Whether who asked for the run may also approve it, signed or by name'),
  }),
])
export type ApprovalConfiguration = z.infer<typeof ApprovalConfiguration>

const Urls = z.strictObject({
  control: Text.optional().describe('Creates and renames databases, ends sessions'),
  backup: Text.optional().describe('Reads everything'),
  verify: Text.optional().describe('Read only'),
})

const Journal = z.strictObject({
  url: Text.optional().describe("The journal's database, never the target; without it `headgate` on the same cluster"),
  schema: z
    .string()
    .regex(/^[a-z_][a-z0-9_]{0,62}$/, 'a schema is of a-z, 0-9 and _')
    .prefault('headgate'),
})

export const ToolsConfiguration = z.strictObject({
  image: Text.optional().describe('An image that has them'),
  service: Text.optional().describe('A Compose service whose image has them'),
  container: ContainerConfiguration.optional().describe('How the container is made'),
})
export type ToolsConfiguration = z.infer<typeof ToolsConfiguration>

const Locks = z.strictObject({
  timeout: Duration.prefault('100ms').describe('How long one try waits for a lock'),
  budget: Duration.prefault('60s').describe('How long all tries together may take'),
  statementTimeout: Duration.prefault('12h').describe('How long one statement may run'),
})

const Lint = z.strictObject({
  level: z
    .enum(['stop', 'warn', 'off'])
    .prefault('warn')
    .describe('stop: no run begins with a finding of that level; warn: it is told of; off: the run does not look'),
  longest: Duration.prefault('1s').describe(
    'How long one statement may hold others up, or lengthen the pause, by the size of its table',
  ),
  squawk: z
    .union([z.literal(false), Command])
    .prefault(['squawk'])
    .describe('How to call squawk, whose findings are added where it is installed; false: it is not asked'),
  waive: z.array(Waiver).prefault([]).describe('Findings that are let through'),
})

const RehearsalConfiguration = z.strictObject({
  from: Text.optional().describe(
    "A database that nobody uses, by reference: it is copied on its own server. Without it the newest valid backup is restored, or copied, on the environment's server",
  ),
  previous: Command.optional().describe(
    "Run once the expand migrations are applied: what the image that runs now, {previous}, must still do on the copy. DATABASE_URL and libpq's variables lead to it; exit 0: it can",
  ),
  within: Duration.prefault('10m').describe('How long previous may take'),
  connectsAsTold: z
    .boolean()
    .prefault(false)
    .describe(
      'Of a migrator `command`: its `up` connects where PG* and the URL lead, and nowhere else, whatever is configured inside. Without it such a tool is not rehearsed: it could migrate another database',
    ),
  required: z
    .boolean()
    .prefault(false)
    .describe('No run begins with a migration that was not rehearsed, or whose rehearsal failed'),
})

/** What may stand at the top as a default and in an environment as its override. */
const settings = {
  migrator: MigratorConfiguration.describe('The tool that owns the schema history'),
  backup: BackupConfiguration.describe('What is taken before each stage'),
  tools: ToolsConfiguration.describe(
    "Where pg_dump, pg_restore and psql run: in a new container of this image or Compose service; without it on the worker's machine",
  ),
  consumers: z.record(Name, ConsumerConfiguration).describe('What feeds writes in from outside and can be paused'),
  services: z.record(Name, ServiceConfiguration).describe('What is deployed with an image tag and restarted'),
  verify: z.array(VerifyCheck).describe('Proofs in the database, after each stage'),
  smoke: z.array(SmokeCheck).describe('Proofs on what runs, after each restart'),
  notify: z.array(NotifierConfiguration).describe('Who hears of it'),
  autodeploy: z
    .array(AutodeployConfiguration)
    .describe('What deploys without Headgate, and is held while a stage runs'),
  approval: ApprovalConfiguration.describe('Who must agree, and before what'),
  quiesce: z
    .union([
      z.enum(['auto', 'services', 'none']),
      z.strictObject({
        roles: z
          .array(Text)
          .min(1)
          .describe(
            'As whom the applications log in: nobody does any more while a stage runs, in no database of the cluster',
          ),
      }),
    ])
    .describe(
      'auto, services: stop them where all of them can be stopped; roles: block whom they log in as; none: leave them running',
    ),
  pause: z.array(Name).describe('Consumers to pause, each once the one before is quiet; without it all, at once'),
  pauseLimit: Duration.describe(
    'How long a run may keep consumers paused before people are told; again after twice that, four times, and so on',
  ),
  journal: Journal.describe('Where intents and outcomes are recorded'),
  queue: Queue.describe(
    'The task queue; without it headgate-NAME-ENVIRONMENT. A worker takes some 50 MB of memory for each queue that it serves: many environments better share one',
  ),
  locks: Locks.describe('How long a migration may wait, and hold up others'),
  lint: Lint.describe('What the review of pending migrations lets through'),
  rehearsal: RehearsalConfiguration.describe('What `headgate rehearse` tries pending migrations on'),
  downgrades: z
    .enum(['allow', 'refuse'])
    .describe('Whether `headgate rollback --down-to` may take applied migrations back'),
  heartbeat: Duration.describe('How long a worker may be silent before another attempt takes over'),
  onFailure: z
    .enum(['compensate', 'hold'])
    .describe('What happens when a step fails: undo, or wait for `headgate retry`'),
}

const environmentOnly = {
  url: Text.describe(`The migrator's role, by reference: \${env:PRODUCTION_DATABASE_URL}`),
  urls: Urls.optional().describe('Other roles for other work; each is url where it is not written'),
  protected: z
    .boolean()
    .optional()
    .describe('Typed confirmation and verified approvals; without it true where the name starts with prod'),
}

/** The file as written: every block optional, environments override the top. */
export const ConfigurationFile = z.strictObject({
  name: Name.describe('The project'),
  ...z.strictObject(settings).partial().shape,
  environments: z
    .record(Name, z.strictObject({ ...environmentOnly, ...z.strictObject(settings).partial().shape }))
    .describe('One database each, with the services and consumers around it'),
})
export type ConfigurationFile = z.infer<typeof ConfigurationFile>

/** One environment after the merge: defaults applied once, references resolved. It holds secrets: it never leaves the worker. */
export const EnvironmentConfiguration = z.strictObject({
  project: Name,
  environment: Name,
  url: environmentOnly.url,
  urls: Urls.prefault({}),
  protected: z.boolean(),
  migrator: settings.migrator.prefault({ kind: 'umzug' }),
  backup: settings.backup.prefault({}),
  tools: settings.tools.optional(),
  consumers: settings.consumers.prefault({}),
  services: settings.services.prefault({}),
  verify: settings.verify.prefault([]),
  smoke: settings.smoke.prefault([]),
  notify: settings.notify.prefault([]),
  autodeploy: settings.autodeploy.prefault([]),
  approval: settings.approval.prefault({}),
  quiesce: settings.quiesce.prefault('auto'),
  pause: settings.pause.optional(),
  pauseLimit: settings.pauseLimit.prefault('30m'),
  journal: settings.journal.prefault({}),
  queue: settings.queue.optional(),
  locks: settings.locks.prefault({}),
  lint: settings.lint.prefault({}),
  rehearsal: settings.rehearsal.prefault({}),
  downgrades: settings.downgrades.prefault('allow'),
  heartbeat: settings.heartbeat.prefault('10s'),
  onFailure: settings.onFailure.prefault('compensate'),
})
export type EnvironmentConfiguration = z.infer<typeof EnvironmentConfiguration>

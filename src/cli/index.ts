import { createRequire } from 'node:module'
import { Command, CommanderError } from 'commander'

/** What a file of this folder exports: its definition, and what it does. Resolves to the exit status. */
export interface CommandModule {
  define: (command: Command) => void
  run: (context: import('./context.js').Context, command: Command) => Promise<number>
}

type Entry = readonly [name: string, summary: string, load: () => Promise<CommandModule>]

/** Every command, in the order of the help. Its file is loaded when it is named: the help itself is quick. */
const GROUPS: Record<string, readonly Entry[]> = {
  'Deploy:': [
    ['plan', 'what a deploy would do; changes nothing', () => import('./plan.js')],
    ['deploy', 'migrate, verify, put the new image into service', () => import('./deploy.js')],
    ['migrate', 'the run without image or restart', () => import('./migrate.js')],
    ['rollback', 'put the previous image back into service', () => import('./rollback.js')],
    ['init-db', "a fresh database with the release's schema", () => import('./init-db.js')],
    ['repair', "mark a migration in the migrator's history", () => import('./repair.js')],
  ],
  'Look:': [
    ['status', 'where runs stand', () => import('./status.js')],
    ['watch', 'follow the run of an environment', () => import('./watch.js')],
    ['info', 'each migration: installed or pending', () => import('./info.js')],
    ['rehearse', 'the pending migrations on a copy: locks, rewrites, time', () => import('./rehearse.js')],
    ['roundtrip', 'the newest migration up, down and up again, on a scratch database', () => import('./roundtrip.js')],
    ['history', 'the runs so far', () => import('./history.js')],
    ['report', 'what a run did, step by step', () => import('./report.js')],
    ['doctor', 'whether everything is in place, and what to grant', () => import('./doctor.js')],
  ],
  'Decide and steer:': [
    ['approve', 'approve the stage that waits', () => import('./approve.js')],
    ['reject', 'reject the stage that waits', () => import('./reject.js')],
    ['hold', 'stop at the next point where the gate is open', () => import('./hold.js')],
    ['continue', 'lift a hold', () => import('./continue.js')],
    ['retry', 'run the failed step again now', () => import('./retry.js')],
    ['cancel', 'stop the run and undo it', () => import('./cancel.js')],
    ['recover', 'the way out of needs-operator', () => import('./recover.js')],
  ],
  'Backups:': [
    ['backup', 'take a backup', () => import('./backup.js')],
    ['backups', 'list, show or verify backups', () => import('./backups.js')],
    ['restore', 'put a backup in the place of the database', () => import('./restore.js')],
  ],
  'Set up:': [
    ['worker', 'serve the environments of headgate.yaml', () => import('./worker.js')],
    ['dev', 'a Temporal server and a worker, for this machine', () => import('./dev.js')],
    ['demo', 'three deploys of a small shop, one of them failing', () => import('./demo.js')],
    ['config', 'an environment with every default', () => import('./config.js')],
    ['schema', 'the JSON Schema of headgate.yaml', () => import('./schema.js')],
    ['codec', "decrypts what Temporal's UI shows", () => import('./codec.js')],
    ['explain', 'what an error code means and what to do', () => import('./explain.js')],
  ],
}

const WAY_IN = `headgate carries a PostgreSQL migration from release to proof.

  headgate dev                      start Temporal and a worker here, beside headgate.yaml
  headgate plan staging --tag 2     look at what would be done
  headgate deploy staging --tag 2   do it
  headgate demo                     watch it on a small shop

All commands: headgate --help. A command's own: headgate deploy --help.
`

const EXIT_CODES = `
Exit codes:
  0 done or nothing to do      4 blocked                   8 --wait ended, the run goes on
  1 usage or configuration     5 failed and compensated    9 no Temporal or no worker
  2 plan --detailed-exitcode: changes are pending          130 the viewer left
  3 waiting for approval       6 needs an operator
  7 rejected, expired, cancelled, deferred

Environment: TEMPORAL_* (address, TLS, API key), HEADGATE_PROJECT, HEADGATE_CONFIG, HEADGATE_USER, HEADGATE_SSH_KEY,
HEADGATE_HOME, HEADGATE_CACHE, HEADGATE_DEBUG=1 (stack traces)
`

/** Only the command that is named is loaded. */
async function program(named: string | undefined, version: string): Promise<Command> {
  const root = new Command('headgate')
    .description('A production PostgreSQL migration, from release to proof.')
    .usage('<command> [options]')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .addHelpText('after', EXIT_CODES)
    .exitOverride()
    .configureOutput({ writeErr: () => {} })
  for (const [group, entries] of Object.entries(GROUPS)) {
    root.commandsGroup(group)
    for (const [name, summary, load] of entries) {
      const command = root.command(name).summary(summary).description(summary).helpGroup(group)
      if (named === name) await prepare(command, load)
    }
  }
  return root.helpCommand('help [command]', 'print the help of a command')
}

async function prepare(command: Command, load: Entry[2]): Promise<void> {
  const [module, { addPlaceOptions, openContext }] = await Promise.all([load(), import('./context.js')])
  module.define(command)
  addPlaceOptions(command)
  command.action(async () => {
    const context = openContext(command)
    try {
      process.exitCode = await module.run(context, command)
    } finally {
      await context.close()
    }
  })
}

async function main(args: readonly string[]): Promise<void> {
  if (args.length === 0) return void process.stdout.write(WAY_IN)
  const named = args[0] === 'help' ? args[1] : args.find((arg) => !arg.startsWith('-'))
  try {
    await (await program(named, version())).parseAsync(args, { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return
    const { reportError } = await import('./output-error.js')
    process.exitCode = reportError(error, args)
  }
}

function version(): string {
  const packaged: { version: string } = createRequire(import.meta.url)('../../package.json')
  return packaged.version
}

// `headgate history | head` closes our output early: that is no error.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit()
  throw error
})
await main(process.argv.slice(2))
// What is still open by now (a long poll, a socket) would keep the process up.
setTimeout(() => process.exit(), 1_000).unref()

// Runs that something happens to, judged from outside: npm run test:faults -- [--only sweep|nemesis|checker] [--course NAME] [--resume] [--seed N] [--count N] [--minutes N]
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'

const USAGE = `npm run test:faults -- [options]
  --only checker|sweep|nemesis|<fault>  a part of it (default: all of it)
  --course <words>                      of the sweep, only courses whose name has these words
  --resume                              of the sweep, only the points that the log has not yet
  --seed <n>                            of the nemesis (default: by the clock)
  --count <n>                           runs of the nemesis (default: 50)
  --minutes <n>                         the nemesis begins no run after this time`

const text = { type: 'string' }
const options = {
  help: { type: 'boolean' },
  only: text,
  course: text,
  resume: { type: 'boolean' },
  seed: text,
  count: text,
  minutes: text,
}
let values
try {
  values = parseArgs({ options }).values
  const wrong = ['seed', 'count', 'minutes'].find((name) => values[name] !== undefined && !/^\d+$/.test(values[name]))
  if (wrong) throw new Error(`--${wrong} is a number`)
} catch (error) {
  console.error(`${error.message}\n\n${USAGE}`)
  process.exit(1)
}
if (values.help) {
  console.log(USAGE)
  process.exit(0)
}

const SWEEP = ['killed', 'frozen', 'stopped', 'terminated', 'cancelled', 'reset']
const files = values.only === undefined ? [] : values.only === 'sweep' ? SWEEP : [values.only]
const env = { ...process.env, FAULTS_SEED: values.seed ?? String(Date.now() % 1_000_000) }
if (values.resume) env.FAULTS_RESUME = '1'
if (values.count !== undefined) env.FAULTS_COUNT = values.count
if (values.minutes !== undefined) env.FAULTS_MINUTES = values.minutes
console.log(`faults from seed ${env.FAULTS_SEED}`)

const vitest = fileURLToPath(new URL('../node_modules/vitest/vitest.mjs', import.meta.url))
const args = [vitest, 'run', '--config', 'test/faults/vitest.config.ts', ...files]
if (values.course !== undefined) args.push('-t', values.course.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
const child = spawn(process.execPath, args, {
  env,
  stdio: 'inherit',
  cwd: fileURLToPath(new URL('..', import.meta.url)),
})
child.once('exit', (code) => {
  process.exitCode = code ?? 1
})

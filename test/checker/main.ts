import { readFile, writeFile } from 'node:fs/promises'
import { look } from './baseline.js'
import { gather } from './evidence.js'
import { judge } from './invariants.js'
import { readScene } from './scene.js'
import { watch } from './watch.js'

const USAGE = `main.ts before SCENE BASELINE           looks at everything, and writes it to BASELINE
main.ts watch SCENE WATCHED             looks on until it is told to end (SIGTERM), and writes what it saw
main.ts judge SCENE BASELINE WATCHED    says what does not hold: {outcome, violations}; exit 1 when anything does not`

const [command, sceneFile, first, second] = process.argv.slice(2)
const parsed = async (file: string) => JSON.parse(await readFile(file, 'utf8'))
const write = (file: string, value: unknown): Promise<void> => writeFile(file, JSON.stringify(value))

if (!sceneFile || !first) {
  console.error(USAGE)
  process.exit(2)
}
const scene = await readScene(sceneFile)
if (command === 'before') await write(first, await look(scene))
else if (command === 'watch') {
  const end = new AbortController()
  process.once('SIGTERM', () => end.abort())
  console.log('watching')
  await write(first, await watch(scene, end.signal))
} else if (command === 'judge' && second) {
  const judgement = judge(await gather(scene, await parsed(first), await parsed(second)))
  console.log(JSON.stringify(judgement, null, 1))
  process.exitCode = judgement.violations.length > 0 ? 1 : 0
} else {
  console.error(USAGE)
  process.exit(2)
}

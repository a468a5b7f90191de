import { readdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type AlembicGraph, type AlembicProject, readGraph } from './alembic-graph.js'
import { type Preview, previewUp } from './alembic-preview.js'

/** What reading a project takes: an interpreter's start, some 0.4 s each time, and as much for each preview. */
interface Reading {
  graph: AlembicGraph
  /** As `previewUp`, once for each start; without one what was had last, else of all. */
  preview(from?: string): Promise<Preview>
}

interface Remembered {
  reading: Promise<Reading>
  /** Folders of the revisions, and what was in them. */
  stamp: Promise<string>
}

const KEPT = 50
const remembered = new Map<string, Remembered>()

/** The project's scripts, and the SQL they would run where that is asked for; read once for as long as no file of theirs changes. Throws as `readGraph`. */
export async function readProject(project: AlembicProject, urlVariable: string): Promise<Reading> {
  const { host, tag, command, config, at } = project
  const image = host.isHere ? undefined : await host.image(tag, 'present')
  const key = JSON.stringify([image ?? '', tag, command, config, at, urlVariable])
  const known = remembered.get(key)
  if (known) {
    const reading = await known.reading.catch(() => undefined)
    if (reading && (image !== undefined || (await known.stamp) === (await stampOf(config, reading.graph))))
      return reading
  }
  const began = Date.now()
  const reading = readGraph(project).then((graph) => ({ graph, preview: previewing(project, urlVariable, graph) }))
  // A file that changed while it was read is not remembered as it was: the stamp of such a reading matches nothing.
  const stamp = reading.then(async ({ graph }) => {
    if (image !== undefined) return image
    return (await newestChange(config, graph)) >= began ? '' : stampOf(config, graph)
  })
  stamp.catch(() => remembered.delete(key))
  remembered.set(key, { reading, stamp })
  for (const old of [...remembered.keys()].slice(0, Math.max(0, remembered.size - KEPT))) remembered.delete(old)
  return reading
}

function previewing(project: AlembicProject, urlVariable: string, graph: AlembicGraph): Reading['preview'] {
  const had = new Map<string, Promise<Preview>>()
  let last = 'base'
  return (from = last) => {
    last = from
    const preview = had.get(from) ?? previewUp(project, urlVariable, graph, from)
    had.set(from, preview)
    return preview
  }
}

/** When a file of the project changed last, in milliseconds. */
async function newestChange(config: string, graph: AlembicGraph): Promise<number> {
  const times = await Promise.all(
    (await filesOf(config, graph)).map((file) =>
      stat(file).then(
        ({ ctimeMs }) => ctimeMs,
        () => 0,
      ),
    ),
  )
  return Math.max(0, ...times)
}

/** Names, sizes and times of the configuration, env.py and every file beside the revisions. */
async function stampOf(config: string, graph: AlembicGraph): Promise<string> {
  const files = await filesOf(config, graph)
  const seen = await Promise.all(
    files.map(async (file) => {
      const { mtimeNs, ctimeNs, size } = await stat(file, { bigint: true }).catch(() => ({
        mtimeNs: 0n,
        ctimeNs: 0n,
        size: -1n,
      }))
      return `${file} ${mtimeNs} ${ctimeNs} ${size}`
    }),
  )
  return seen.join('\n')
}

/** The configuration, env.py, and what stands beside the revisions. */
async function filesOf(config: string, { paths }: AlembicGraph): Promise<string[]> {
  const folders = [...new Set([...paths.values()].map((path) => dirname(path)))].sort()
  const files = [config, ...folders.map((folder) => join(dirname(folder), 'env.py'))]
  for (const folder of folders) {
    const names = await readdir(folder).catch(() => [])
    files.push(
      ...names
        .filter((name) => name.endsWith('.py'))
        .sort()
        .map((name) => join(folder, name)),
    )
  }
  return files
}

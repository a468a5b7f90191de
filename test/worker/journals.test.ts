// biome-ignore-all lint/suspicious/noTemplateCurlyInString: references in configuration files look like this
import { afterEach, beforeEach, expect, test } from 'vitest'
import { parseConfiguration, resolveEnvironment } from '../../src/adapters/configuration/index.js'
import type { EnvironmentConfiguration } from '../../src/domain/configuration.js'
import { Journals, type Resolved } from '../../src/worker/journals.js'
import { createDatabase } from '../support/test-database.js'

let journals: Journals
let file: string
let journalUrl: string
/** How often the references were asked where they lead. */
let resolvings: number
beforeEach(async () => {
  journals = new Journals({ makes: true })
  resolvings = 0
  const [database, journal] = [await createDatabase(), await createDatabase()]
  file = JSON.stringify({
    ...{ name: 'shop', pauseLimit: '20m', journal: { url: '${command:["print-the-url"]}' } },
    environments: { staging: { url: database.url } },
  })
  journalUrl = journal.url
})
afterEach(() => journals.close())

async function resolved(): Promise<EnvironmentConfiguration> {
  const runCommand = async (): Promise<string> => {
    resolvings += 1
    return journalUrl
  }
  return resolveEnvironment(parseConfiguration(file, '/srv/headgate.yaml'), 'staging', { env: {}, runCommand })
}

const last = (source: object): Promise<Resolved> => journals.lastOf(source, 'staging', resolved)

test('whoever looks every few seconds runs the programs of references once, for the journal and all else that it needs', async () => {
  const source = {}
  const first = await last(source)
  expect(await last(source)).toBe(first)
  expect(first).toMatchObject({ pauseLimit: 20 * 60_000, journal: { schema: 'headgate' } })
  expect(resolvings).toBe(1)
})

test('they are run again when the file has changed, and after a failure', async () => {
  const source = {}
  const { journal } = await last(source)
  file = file.replace('20m', '10m')
  const changed = {}
  expect(await last(changed)).toEqual({ journal, pauseLimit: 10 * 60_000 })
  expect(resolvings).toBe(2)
  journals.forget('staging')
  await last(changed)
  expect(resolvings).toBe(3)
})

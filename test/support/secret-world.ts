import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { Person } from './command-line.js'
import { placesWith, tracesOf } from './traces.js'
import { World, type WorldOptions } from './world.js'

/** The database's password, which nobody may ever see. */
export const CANARY = 'c4nary/Pw+9'

/** What stands in a configuration file for a variable of the worker's. */
export const reference = (variable: string): string => `\${env:${variable}}`

export function withPassword(url: string): string {
  const secret = new URL(url)
  secret.password = encodeURIComponent(CANARY)
  return secret.href
}

export interface SecretWorld {
  world: World
  /** An empty folder, where a person stands. */
  folder: string
  /** Somebody at the command line in that folder, who has Temporal's address and nothing else. */
  person(name: string, env?: Record<string, string>): Person
  /** Ends the world. Fails when the password is in anything that was shown or written down. */
  leave(): Promise<void>
}

/** A world whose worker alone knows the database's password. Nobody in it writes, so that it can be compared with itself. */
export async function secretWorld(
  options: Omit<WorldOptions, 'writesLate'>,
  workerEnv: Record<string, string> = {},
): Promise<SecretWorld> {
  const environment = { url: reference('WORLD_URL'), ...options.environment }
  const world = await World.create({ ...options, environment, writesLate: true })
  const folder = await mkdtemp(join(tmpdir(), 'headgate-person-'))
  const people: Person[] = []
  await world.startWorker({ WORLD_URL: withPassword(world.database.url), ...workerEnv })
  return {
    world,
    folder,
    person: (name, env) => {
      const person = new Person(world, folder, name, env)
      people.push(person)
      return person
    },
    leave: async () => {
      const seen = people.map((person) => person.seen).join('')
      const traces = { ...(await tracesOf(world)), 'what people saw': seen }
      await world.end()
      await rm(folder, { recursive: true, force: true })
      expect(placesWith(traces, CANARY)).toEqual([])
    },
  }
}

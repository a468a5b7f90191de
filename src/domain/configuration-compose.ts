import { z } from 'zod'
import { Command, Text, Variable } from './configuration-scalars.js'

/** How Compose is called for a project. */
export const composeKeys = {
  engine: Command.prefault(['docker']).describe('How to call the container engine'),
  files: z.array(Text).prefault([]).describe("The Compose files; without them Compose's own choice"),
  directory: Text.optional().describe('Where Compose runs; without it the folder of headgate.yaml'),
  project: Text.optional().describe("Compose's project name; without it Compose's own choice"),
  env: z.array(Variable).prefault([]).describe("Variables of the worker's that the client is given, too"),
}
export const TagVariable = Variable.describe('The variable that the Compose files take the tag from')

const ComposeService = z
  .string()
  .regex(/^[a-zA-Z0-9][a-zA-Z0-9._-]*$/, 'a service of Compose is letters, digits, . _ -')
export const ComposeServices = z.array(ComposeService).min(1).describe('Their names in the Compose files')
export const KeptServices = z
  .array(ComposeService)
  .prefault([])
  .describe(
    'Those of them that others stop and start, consumers of this release: one that is stopped gets the new image and stays stopped',
  )

export type ComposeProject = z.infer<z.ZodObject<typeof composeKeys>> & { tagVariable?: string | undefined }

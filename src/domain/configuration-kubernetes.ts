import { z } from 'zod'
import { Command, Text, Variable } from './configuration-scalars.js'

const dns = (what: string) =>
  z.string().regex(/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/, `${what} is of a-z, 0-9, - and .`)

/** How a cluster is called, and which of its namespaces. */
export const kubernetesKeys = {
  command: Command.prefault(['kubectl']).describe('How to call kubectl'),
  context: Text.optional().describe("Of the kubeconfig; without it kubectl's own choice, in a pod its service account"),
  namespace: dns('a namespace'),
  env: z.array(Variable).prefault([]).describe("Variables of the worker's that kubectl is given, beside KUBECONFIG"),
  argocd: z
    .enum(['check', 'ignore'])
    .prefault('check')
    .describe('check: where one of its applications would undo what a run does, none begins; ignore: it is not asked'),
}

export const Workloads = z
  .array(
    z
      .string()
      .regex(
        /^(deployment|statefulset)\/[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/,
        'a workload is deployment/name or statefulset/name',
      ),
  )
  .min(1)
  .describe('deployment/name or statefulset/name')

export const ReleaseImage = z
  .string()
  .regex(/^[^\s@{}]+:[^\s@{}:/]*\{tag\}[^\s@{}:/]*$/, 'an image is registry/name:{tag}')
  .describe('registry/name:{tag}: each container that has an image of that name gets the tag')

export type Cluster = z.infer<z.ZodObject<typeof kubernetesKeys>>

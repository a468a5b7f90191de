import { z } from 'zod'
import type { Cluster } from '../../domain/configuration-kubernetes.js'
import { failedWith } from '../../domain/failures.js'
import { getObject } from './kubernetes.js'

/** What a run changes of a workload. */
export type Change = 'replicas' | 'image'

const Applications = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ name: z.string() }),
      spec: z.object({
        syncPolicy: z
          .object({
            automated: z.object({ enabled: z.boolean().default(true) }).nullish(),
            syncOptions: z.array(z.string()).default([]),
          })
          .nullish(),
        ignoreDifferences: z
          .array(
            z.object({
              kind: z.string(),
              name: z.string().optional(),
              namespace: z.string().optional(),
              jsonPointers: z.array(z.string()).default([]),
              jqPathExpressions: z.array(z.string()).default([]),
            }),
          )
          .default([]),
      }),
      status: z
        .object({
          resources: z
            .array(z.object({ kind: z.string(), name: z.string(), namespace: z.string().default('') }))
            .default([]),
        })
        .prefault({}),
    }),
  ),
})
type Application = z.infer<typeof Applications>['items'][number]

/**
 * Argo CD puts back what differs from its repository: at once where an application heals itself, else with the next commit. Where its
 * applications may not be read nothing is known against them.
 */
export async function undoneByArgo(
  cluster: Cluster,
  objects: readonly string[],
  changes: readonly Change[],
  signal: AbortSignal,
): Promise<string[]> {
  if (cluster.argocd === 'ignore') return []
  const found = await getObject(cluster, '/apis/argoproj.io/v1alpha1/applications', signal).catch((error: unknown) => {
    if (!failedWith(error, 'RightsMissing')) throw error
    return undefined
  })
  if (found === undefined) return []
  return Applications.parse(found)
    .items.filter(({ spec: { syncPolicy } }) => syncPolicy?.automated?.enabled === true)
    .flatMap((application) =>
      objects
        .filter((object) => application.status.resources.some((one) => isSame(one, object, cluster.namespace)))
        .flatMap((object) =>
          changes
            .filter((change) => !isIgnored(application, object, cluster.namespace, change))
            .map((change) => ({ object, change })),
        )
        .map(
          ({ object, change }) =>
            `Argo CD's application ${application.metadata.name} syncs by itself, and would undo the ${change} of ${object}: list them under its ignoreDifferences, with RespectIgnoreDifferences=true among its syncOptions; or suspend its syncs`,
        ),
    )
}

const isSame = (one: { kind: string; name: string; namespace: string }, object: string, namespace: string): boolean =>
  `${one.kind.toLowerCase()}/${one.name}` === object && one.namespace === namespace

const isIgnored = ({ spec }: Application, object: string, namespace: string, change: Change): boolean =>
  (spec.syncPolicy?.syncOptions ?? []).includes('RespectIgnoreDifferences=true') &&
  spec.ignoreDifferences.some(
    ({ kind, name, namespace: where, jsonPointers, jqPathExpressions }) =>
      ['*', object.split('/')[0]].includes(kind.toLowerCase()) &&
      (name === undefined || object.endsWith(`/${name}`)) &&
      (where === undefined || where === namespace) &&
      [...jsonPointers, ...jqPathExpressions].some((path) =>
        change === 'replicas' ? /replicas/.test(path) : /image|containers$/.test(path),
      ),
  )

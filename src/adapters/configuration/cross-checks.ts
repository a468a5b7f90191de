import { nearest } from '../../domain/text.js'
import { type Problem, quoted } from './problem.js'
import { holdsReference } from './template.js'
import {
  entryOf,
  isWrittenList,
  isWrittenMap,
  isWrittenText,
  pathTo,
  type Written,
  type WrittenMap,
  type WrittenText,
} from './written.js'

const namesIn = (list: Written | undefined): WrittenText[] =>
  list !== undefined && isWrittenList(list) ? list.value.filter(isWrittenText) : []

/** Rules between keys, for one environment after the merge. What is of the wrong type was told already and is passed over. */
export function crossChecks(environment: WrittenMap, isProtected: boolean): Problem[] {
  return [
    ...pausesOf(environment),
    ...approvalOf(environment, isProtected),
    ...containerOf(environment),
    ...driverOf(environment),
    ...autodeploysOf(environment),
    ...keptServicesOf(environment),
    ...queuesOf(environment),
    ...toolsOf(environment),
  ]
}

function pausesOf(environment: WrittenMap): Problem[] {
  const consumers = entryOf(environment, 'consumers')
  const known = isWrittenMap(consumers) ? [...consumers.value.keys()] : []
  const names = namesIn(entryOf(environment, 'pause'))
  return names.flatMap(({ value, path, at }, index) => {
    if (names.findIndex((other) => other.value === value) < index)
      return [{ at, text: `${path} names a consumer twice` }]
    if (known.includes(value)) return []
    const meant = nearest(value, known)
    const hint = meant ? `, did you mean ${quoted(meant)}?` : `; known: ${known.join(', ') || 'none'}`
    return [{ at, text: `${path} names no consumer of ${environment.path}${hint}` }]
  })
}

function approvalOf(environment: WrittenMap, isProtected: boolean): Problem[] {
  const approval = entryOf(environment, 'approval')
  if (!isWrittenMap(approval)) return []
  const from = new Set(namesIn(entryOf(approval, 'from')).map(({ value }) => value))
  const count = entryOf(approval, 'count')
  const problems: Problem[] = []
  if (from.size > 0 && count !== undefined && typeof count.value === 'number' && count.value > from.size) {
    problems.push({
      at: count.at,
      text: `${count.path} asks for ${count.value} approvals and ${pathTo(approval.path, 'from')} names ${from.size}`,
    })
  }
  if (isProtected && from.size > 0 && entryOf(approval, 'allowedSigners') === undefined) {
    problems.push({
      at: approval.key,
      text: `approvals of ${environment.path} could not be verified: it is protected, so write ${pathTo(approval.path, 'allowedSigners')}, or approval: none`,
    })
  }
  return problems
}

function containerOf(environment: WrittenMap): Problem[] {
  const migrator = entryOf(environment, 'migrator')
  if (!isWrittenMap(migrator)) return []
  const { path } = migrator
  const image = entryOf(migrator, 'image')
  const service = entryOf(migrator, 'service')
  const container = entryOf(migrator, 'container')
  if (image && service)
    return [{ at: service.key, text: `${path} has image and service: the migrations are in one of them` }]
  if (container && !image && !service)
    return [{ at: container.key, text: `${pathTo(path, 'container')} is for a migrator with image or service` }]
  if (image && typeof image.value === 'string' && !image.value.includes('{tag}'))
    return [{ at: image.at, text: `${image.path} is the same for each release: write {tag} where its tag stands` }]
  if (service && !(container && entryOf(container, 'tagVariable')))
    return [
      {
        at: service.key,
        text: `${service.path} is the same for each release: write ${pathTo(path, 'container')}.tagVariable, from which the Compose files take the tag`,
      },
    ]
  return []
}

/** The proxy that names the sessions listens on this machine alone. */
function driverOf(environment: WrittenMap): Problem[] {
  const migrator = entryOf(environment, 'migrator')
  if (!isWrittenMap(migrator)) return []
  const driver = entryOf(migrator, 'driver')
  if (driver?.value !== 'other') return []
  const why = `${driver.path}: other needs a proxy on 127.0.0.1`
  if (entryOf(migrator, 'service'))
    return [{ at: driver.at, text: `${why}, which a container of Compose does not reach: write image, not service` }]
  const container = entryOf(migrator, 'container')
  if (!isWrittenMap(container)) return []
  const network = entryOf(container, 'network')
  // What is a reference is looked at once it is resolved.
  const isElsewhere = typeof network?.value === 'string' && network.value !== 'host' && !holdsReference(network.value)
  const found = isElsewhere ? network : (entryOf(container, 'host') ?? entryOf(container, 'port'))
  return found ? [{ at: found.key, text: `${found.path}: ${why}, which the container does not reach then` }] : []
}

/** Plans and the journal know them by their names. Those that are called after what they hold are compared once that is known. */
function autodeploysOf(environment: WrittenMap): Problem[] {
  const list = entryOf(environment, 'autodeploy')
  const entries = list !== undefined && isWrittenList(list) ? list.value.filter(isWrittenMap) : []
  const names = entries.flatMap((entry) => entryOf(entry, 'name') ?? []).filter(isWrittenText)
  return names
    .filter(({ value }, index) => names.findIndex((other) => other.value === value) < index)
    .map(({ value, path, at }) => ({ at, text: `${path}: another entry of autodeploy is called ${quoted(value)} too` }))
}

function servicesOf(environment: WrittenMap): WrittenMap[] {
  const services = entryOf(environment, 'services')
  return isWrittenMap(services) ? [...services.value.values()].filter(isWrittenMap) : []
}

/** Who is kept stopped is one of the services, and not the only one: what is left is stopped and started. */
function keptServicesOf(environment: WrittenMap): Problem[] {
  return servicesOf(environment).flatMap((entry) => {
    const known = namesIn(entryOf(entry, 'services')).map(({ value }) => value)
    const kept = namesIn(entryOf(entry, 'keepStopped'))
    const strange = kept.filter(({ value }) => !known.includes(value))
    if (strange.length > 0)
      return strange.map(({ path, at }) => ({ at, text: `${path} is none of ${pathTo(entry.path, 'services')}` }))
    const [first] = kept
    return first && known.every((name) => kept.some(({ value }) => value === name))
      ? [{ at: first.at, text: `${pathTo(entry.path, 'keepStopped')} names all of them: nothing would be started` }]
      : []
  })
}

/** On the environment's own queue runs are carried: a worker that serves services alone must not take those. */
function queuesOf(environment: WrittenMap): Problem[] {
  const own = entryOf(environment, 'queue')
  if (own === undefined) return []
  return servicesOf(environment)
    .flatMap((service) => entryOf(service, 'queue') ?? [])
    .filter((queue) => queue.value === own.value)
    .map(({ path, at }) => ({
      at,
      text: `${path} is the environment's own queue: leave it out for a service beside the database`,
    }))
}

function toolsOf(environment: WrittenMap): Problem[] {
  const tools = entryOf(environment, 'tools')
  if (!isWrittenMap(tools)) return []
  const named = ['image', 'service'].filter((key) => entryOf(tools, key) !== undefined)
  return named.length === 1 ? [] : [{ at: tools.key, text: `${tools.path} has either image or service` }]
}

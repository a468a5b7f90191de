import type { Reach } from '../../src/adapters/service/elsewhere.js'

/** Of a worker whose services are all on its own host. */
export const HERE: Reach = {
  queue: undefined,
  callService: async (queue) => {
    throw new Error(`nobody is to be called on ${queue}`)
  },
}

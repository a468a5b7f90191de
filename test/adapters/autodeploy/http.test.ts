import { createAutodeploy } from '../../../src/adapters/autodeploy/index.js'
import { json, startHttpServer } from '../../support/http-server.js'
import { autodeployContract, SECRET } from './contract.js'

autodeployContract('http', async (options) => {
  let [isHeld, running, refusal] = [false, 0, '']
  const server = await startHttpServer(({ method, path }, response) => {
    if (refusal !== '') return json(response, 403, { error: refusal })
    if (method === 'POST') isHeld = path === '/hold'
    json(response, 200, { state: isHeld ? 'held' : 'on', running })
  })
  const { url } = server
  return {
    autodeploy: createAutodeploy(
      {
        ...{ kind: 'http', hold: `${url}/hold`, release: `${url}/release`, status: `${url}/status` },
        ...{ headers: {}, ...options },
      },
      { project: 'shop', environment: 'production', directory: '/', secrets: [SECRET] },
    ),
    isHeld: () => isHeld,
    underWay: (count) => {
      running = count
    },
    refuse: (text) => {
      refusal = text
    },
    close: server.close,
  }
})

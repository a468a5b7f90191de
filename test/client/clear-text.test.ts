import { afterEach, expect, test } from 'vitest'
import { requireTls } from '../../src/client/connection.js'

afterEach(() => {
  delete process.env.HEADGATE_TEMPORAL_CLEAR_TEXT
})

test.each([
  ['this machine', { address: '127.0.0.1:7233' }],
  ['this machine by name', { address: 'localhost:7233' }],
  ['this machine, IPv6', { address: '[::1]:7233' }],
  ['elsewhere, with TLS', { address: 'temporal.example.com:7233', tls: true }],
  ['elsewhere, with an API key, which brings TLS', { address: 'temporal.example.com:7233', apiKey: 'k' }],
])('%s may be spoken to', (_, where) => {
  expect(() => requireTls(where)).not.toThrow()
})

test.each([
  ['elsewhere', { address: 'temporal.example.com:7233' }],
  ['an API key with TLS switched off', { address: 'temporal.example.com:7233', tls: false, apiKey: 'k' }],
  ['every address of this machine', { address: '0.0.0.0:7233' }],
  ['a name that begins like this machine', { address: 'localhost.example.com:7233' }],
  ['a name that looks like an address', { address: '127.0.0.1.example.com:7233' }],
  ['an IPv4 address in IPv6', { address: '[::ffff:127.0.0.1]:7233' }],
])('%s is not spoken to in clear text', (_, where) => {
  expect(() => requireTls(where)).toThrow(/in clear text/)
  process.env.HEADGATE_TEMPORAL_CLEAR_TEXT = 'yes'
  expect(() => requireTls(where)).not.toThrow()
})

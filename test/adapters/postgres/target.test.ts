import { expect, test } from 'vitest'
import { libpqEnvironment, parseTarget, targetUrl, withDatabase } from '../../../src/adapters/postgres/target.js'
import { failedWith, messageOf } from '../../../src/domain/failures.js'

const plain = {
  host: 'db.example',
  port: 5432,
  database: 'shop',
  user: 'ann',
  password: undefined,
  sslmode: undefined,
  sslrootcert: undefined,
}

test.each([
  ['postgres://ann@db.example/shop', plain],
  ['postgresql://ann:p%40ss%2F%3A%20w@db.example:6543/shop', { ...plain, port: 6543, password: 'p@ss/: w' }],
  ['postgres://ann:raw@sign@db.example/shop', { ...plain, password: 'raw@sign' }],
  ['postgres://ann:@db.example/shop', { ...plain, password: '' }],
  ['postgres://ann@localhost/shop', { ...plain, host: 'localhost', sslmode: 'disable' }],
  ['postgres://ann@[::1]:5433/shop', { ...plain, host: '::1', port: 5433, sslmode: 'disable' }],
  ['postgres://ann@%2Frun%2Fpostgresql/shop', { ...plain, host: '/run/postgresql', sslmode: 'disable' }],
  ['postgres://ann@/shop?host=/run/postgresql', { ...plain, host: '/run/postgresql', sslmode: 'disable' }],
  [
    'postgres://ann@db.example/shop?sslmode=verify-full&sslrootcert=/ca.pem',
    { ...plain, sslmode: 'verify-full', sslrootcert: '/ca.pem' },
  ],
  ['postgres://ann@db.example/shop?options=-c%20lock_timeout%3D0&application_name=x&connect_timeout=60', plain],
  ['postgres://ann@db.example', { ...plain, database: 'ann' }],
  ['postgres://ann@db.example/we%22ird%20%D0%B4b', { ...plain, database: 'we"ird дb' }],
])('%s is read as libpq reads it', (url, target) => {
  expect(parseTarget(url)).toEqual(target)
})

test.each([
  'postgres://ann:hunter2@db.example/shop=dbname',
  'postgres://ann:hunter2@db.example/host%3Devil',
  'postgres://ann:hunter2@db.example/postgres%3A%2F%2Fevil',
  'mysql://ann:hunter2@db.example/shop',
  'postgres//ann:hunter2@db.example/shop',
  'postgres://ann:hunter2@one,two/shop?sslmode=hunter2',
  'postgres://ann:hunter2@db.example:99999/shop',
  'postgres://ann:hunter2%ZZ@db.example/shop',
  'postgres://ann:secret?hunter2@db.example/shop',
  'postgres://ann:hunter2@db.example/shop?sslcert=/me.pem',
  'postgres://:hunter2@db.example/shop',
  'hunter2',
  '',
])('%s is refused without a word of it', (url) => {
  const read = (): unknown => {
    try {
      return parseTarget(url)
    } catch (error) {
      return error
    }
  }
  const error = read()
  expect(failedWith(error, 'ConfigurationInvalid')).toBe(true)
  expect(messageOf(error)).not.toContain('hunter2')
  expect(JSON.stringify(error)).not.toContain('hunter2')
})

test('a database name that libpq would read as a connection string is refused', () => {
  for (const name of ['dbname=x host=evil', 'postgres://evil', ''])
    expect(() => withDatabase(plain, name)).toThrow('the database url has')
})

test('the environment escapes spaces and backslashes of settings', () => {
  const env = libpqEnvironment(
    { ...plain, password: 'p w', sslmode: 'require' },
    { applicationName: 'hg:00000000:1:migrate', options: { lock_timeout: '100ms', search_path: 'a, b\\c' } },
  )
  expect(env).toEqual({
    PGHOST: 'db.example',
    PGPORT: '5432',
    PGUSER: 'ann',
    PGPASSWORD: 'p w',
    PGDATABASE: 'shop',
    PGSSLMODE: 'require',
    PGAPPNAME: 'hg:00000000:1:migrate',
    PGOPTIONS: '-c lock_timeout=100ms -c search_path=a,\\ b\\\\c',
    PGCONNECT_TIMEOUT: '5',
  })
})

test('a url made from a target is read as that target', () => {
  for (const target of [
    plain,
    { ...plain, host: '::1', sslmode: 'disable' },
    { ...plain, host: '/run/postgresql', sslmode: 'disable', password: 'a:/?#[]@ %\\' },
    { ...plain, database: 'we"ird/дb?x&y', user: 'o:h@ra', sslmode: 'verify-ca', sslrootcert: '/c a.pem' },
  ])
    expect(parseTarget(targetUrl(target, 'hg:1', { lock_timeout: '1s' }))).toEqual(target)
})

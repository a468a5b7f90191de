import { describe, expect, it } from 'vitest'
import { jsonIn, nearest, plain, redact, tail } from '../../src/domain/text.js'

describe('redact', () => {
  it.each([
    ['a known secret', 'token tok-12345 refused', 'token *** refused'],
    ['the longer of two overlapping secrets', 'tok-12345-long', '***'],
    ['a secret full of pattern characters', 'is a+b(c)[d]$^.*{}|\\ ok', 'is *** ok'],
    ['a URL password', 'connect postgres://ana:s3cret@db:5432/shop', 'connect postgres://ana:***@db:5432/shop'],
    ['a URL password with an @ in it', 'postgres://ana:p@ss@db/shop', 'postgres://ana:***@db/shop'],
    ['a URL password with a slash in it', 'postgres://ana:p/s@db/shop', 'postgres://ana:***@db/shop'],
    ['a password of digits', 'postgres://ana:5432@db/shop', 'postgres://ana:***@db/shop'],
    ['a password without a user', 'redis://:hunter@cache', 'redis://:***@cache'],
    [
      'not a port before a path',
      'http://connect:8083/x?mail=me@example.com',
      'http://connect:8083/x?mail=me@example.com',
    ],
    ['PGPASSWORD', 'PGPASSWORD=hunter2 psql', 'PGPASSWORD=*** psql'],
    ['PGPASSWORD in quotes', "PGPASSWORD='hunter 2' psql", 'PGPASSWORD=*** psql'],
    ['PGPASSWORD in JSON', '{"PGPASSWORD":"hunter2","A":"b"}', '{"PGPASSWORD":***,"A":"b"}'],
    ['a conninfo password', 'host=db password=hunter2 user=ana', 'host=db password=*** user=ana'],
    ['a quoted conninfo password', "host=db password='it\\'s me' user=ana", 'host=db password=*** user=ana'],
    [
      'a password parameter',
      'postgres://db/shop?user=a&password=x&ssl=1',
      'postgres://db/shop?user=a&password=***&ssl=1',
    ],
    ['a password in SQL', "alter role ana password 'it''s me' login", 'alter role ana password *** login'],
  ])('hides %s', (_, text, expected) => {
    const secrets = ['tok-12345', 'tok-12345-long', 'a+b(c)[d]$^.*{}|\\', '']
    expect(redact(text, secrets)).toBe(expected)
    expect(redact(redact(text, secrets), secrets)).toBe(expected)
  })

  it('leaves text without secrets alone', () => {
    const text = 'see https://example.com/a:b and the passwords page, user@example.com: 42'
    expect(redact(text)).toBe(text)
  })

  it('is quick on a megabyte made to be slow', { timeout: 5_000 }, () => {
    const slow = `${'a://b:'.repeat(20_000)}${'password = '.repeat(20_000)}${'x'.repeat(400_000)}`
    expect(redact(slow, ['secret'])).toContain('x')
  })
})

describe('plain', () => {
  it.each([
    ['colours', '\x1b[31mred\x1b[0m', 'red'],
    ['cursor moves and line erasing', 'a\x1b[2K\x1b[1Gb', 'ab'],
    ['a hyperlink with its address', '\x1b]8;;http://evil\x1b\\text\x1b]8;;\x07', 'text'],
    ['single-byte control sequences', '\x9b31mred', 'red'],
    ['a sequence cut in half', 'end\x1b[3', 'end'],
    ['control characters, not newline and tab', 'a\x00b\tc\r\nd\x7f\x08', 'ab\tc\nd'],
    ['marks that reorder text', 'user\u202etxt.exe', 'usertxt.exe'],
    ['half a surrogate pair', 'a\ud800b', 'a\ufffdb'],
  ])('removes %s', (_, text, expected) => {
    expect(plain(text)).toBe(expected)
  })

  it('keeps letters of every script and emoji', () => {
    expect(plain('größe 東京 🚀')).toBe('größe 東京 🚀')
  })

  it('replaces bytes that are not UTF-8', () => {
    expect(plain(Uint8Array.from([0x61, 0xff, 0x62]))).toBe('a\ufffdb')
  })
})

describe('tail', () => {
  it.each([
    ['abcdef', 3, 'def'],
    ['abc', 10, 'abc'],
    ['abc', 0, ''],
    ['aéé', 3, 'é'],
    ['x🚀', 4, '🚀'],
    ['x🚀', 3, ''],
    ['x🚀y', 2, 'y'],
    ['東京', 5, '京'],
  ])('of %s is at most %i bytes of whole characters', (text, bytes, expected) => {
    expect(tail(text, bytes)).toBe(expected)
  })
})

describe('jsonIn', () => {
  it.each([
    ['one value', '{"state":"running"}\n', { state: 'running' }],
    ['a value on several lines', '{\n  "state": "running"\n}\n', { state: 'running' }],
    ['the last line, after other things', 'asking\nstill asking\n{"state":"stopped"}\n\n', { state: 'stopped' }],
    ['not a line before the last', '{"state":"running"}\ndone', undefined],
    ['nothing in nothing', '', undefined],
  ])('finds %s', (_, printed, expected) => {
    expect(jsonIn(printed)).toEqual(expected)
  })
})

describe('nearest', () => {
  const keys = ['migrator', 'backup', 'url', 'urls', 'allowedSigners', 'from', 'approval']
  it.each([
    ['migratr', 'migrator'],
    ['mgirator', 'migrator'],
    ['ulr', 'url'],
    ['URL', 'url'],
    ['allowed_signers', 'allowedSigners'],
    ['frmo', 'from'],
    ['aproval', 'approval'],
    ['xyz', undefined],
    ['consumers', undefined],
    ['', undefined],
  ])('of %s is %s', (word, expected) => {
    expect(nearest(word, keys)).toBe(expected)
  })
})

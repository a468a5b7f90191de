import { beforeAll, describe, expect, test } from 'vitest'
import { type ReviewOptions, review } from '../../../src/adapters/lint/index.js'
import { withSession } from '../../../src/adapters/postgres/session.js'
import type { PlannedMigration } from '../../../src/domain/plan.js'
import type { Finding, Review } from '../../../src/domain/review.js'
import { openSession } from '../../../src/adapters/postgres/session.js'
import { createDatabase, type TestDatabase } from '../../support/test-database.js'

let database: TestDatabase

beforeAll(async () => {
  database = await createDatabase()
  await withSession(database.target, { applicationName: 'test prepare' }, (session) =>
    session.query(`create table orders (id int primary key, item varchar(20), sku numeric(10, 2), at timestamp(3), note text,
        constraint sku_is_there check (sku is not null));
      insert into orders select n, 'bread', 1, now(), 'x' from generate_series(1, 1000) n;
      create table empty (id int);
      create domain positive as int check (value > 0);
      create schema sales; create table sales.invoices (id int);
      create type mood as enum ('good');
      create function fixed() returns int immutable language sql as 'select 1';
      create table parts (id int) partition by range (id); create table parts_1 partition of parts for values from (1) to (10)`),
  )
})

const migration = (sql: string, more: Partial<PlannedMigration> = {}): PlannedMigration => ({
  ...{ version: '2', name: 'two', phase: 'expand', transactional: true, checksum: 'c', hasDown: true },
  sql,
  ...more,
})

/** A gate that stays open, and nothing may be held for longer than no time: every work is long. */
const STRICT: ReviewOptions = { hasPrevious: true, isGateClosed: false, longestMs: 0, waivers: [] }

const reviewed = (migrations: PlannedMigration[], options: Partial<ReviewOptions> = {}): Promise<Review> =>
  withSession(database.target, { applicationName: 'test look', readOnly: true }, (session) =>
    review(migrations, { ...STRICT, ...options }, session),
  )

/** `stop set-not-null-scans`. */
const found = async (sql: string, more: Partial<PlannedMigration> = {}, options: Partial<ReviewOptions> = {}) =>
  (await reviewed([migration(sql, more)], options)).findings.map(({ level, rule }) => `${level} ${rule}`)

describe('the review stops', () => {
  test.each([
    ['what does not parse', 'alter tabel orders', 'syntax'],
    [
      'a column that must not be null, without a default',
      'alter table orders add qty int not null',
      'not-null-without-default',
    ],
    [
      'a default that is computed for each row',
      'alter table orders add qty float default random()',
      'volatile-default',
    ],
    ['a serial column', 'alter table orders add n bigserial', 'volatile-default'],
    ['an identity column', 'alter table orders add n int generated always as identity', 'volatile-default'],
    [
      'a stored generated column',
      'alter table orders add n int generated always as (id + 1) stored',
      'volatile-default',
    ],
    ['a type that is stored in another way', 'alter table orders alter id type bigint', 'type-change-rewrites'],
    ['a shorter varchar', 'alter table orders alter item type varchar(10)', 'type-change-rewrites'],
    ['another scale', 'alter table orders alter sku type numeric(12, 4)', 'type-change-rewrites'],
    ['not null on a table with rows', 'alter table orders alter item set not null', 'set-not-null-scans'],
    ['an index that writers wait for', 'create index i on orders (item)', 'index-without-concurrently'],
    ['a check that looks at every row', 'alter table orders add constraint c check (id > 0)', 'constraint-scans'],
    [
      'a foreign key that looks at every row',
      'alter table orders add constraint f foreign key (id) references orders',
      'constraint-scans',
    ],
    [
      'a unique constraint that builds its index',
      'alter table orders add constraint u unique (item)',
      'constraint-builds-index',
    ],
    ['concurrently in a transaction', 'create index concurrently i on orders (item)', 'concurrently-in-transaction'],
    [
      'a column that is dropped under the previous image',
      'alter table orders drop column note',
      'breaks-previous-image',
    ],
    ['a column that is renamed under it', 'alter table orders rename note to notes', 'breaks-previous-image'],
    ['a table that is renamed under it', 'alter table orders rename to sales_orders', 'breaks-previous-image'],
    ['a table that is dropped under it', 'drop table sales.invoices', 'breaks-previous-image'],
    ['vacuum full', 'vacuum full orders', 'table-rewrite'],
    ['cluster', 'cluster orders using orders_pkey', 'table-rewrite'],
    ['a table that goes to another tablespace', 'alter table orders set tablespace pg_default', 'table-rewrite'],
  ])('%s', async (_, sql, rule) => {
    expect(await found(sql)).toEqual([`stop ${rule}`])
  })
})

describe('the review lets through', () => {
  test.each([
    ['a nullable column', 'alter table orders add qty int'],
    ['a column with a constant default', `alter table orders add qty int not null default 3`],
    ['a default of the moment, which is one value', 'alter table orders add seen timestamptz default now()'],
    ['a default by an immutable function', 'alter table orders add one int default fixed()'],
    ['a longer varchar, and text', 'alter table orders alter item type varchar(30), alter item type text'],
    ['a wider numeric of the same scale', 'alter table orders alter sku type numeric(12, 2)'],
    ['a finer timestamp', 'alter table orders alter at type timestamp(6)'],
    ['not null where a valid check says so already', 'alter table orders alter sku set not null'],
    ['a constraint that is not valid yet', 'alter table orders add constraint c check (id > 0) not valid'],
    ['its validation', 'alter table orders validate constraint sku_is_there'],
    ['a constraint from an index', 'alter table orders add constraint u unique using index u_index'],
    [
      'whatever is done to a table of its own',
      'create table new (id int not null); create index on new (id); alter table new alter id type bigint; drop index if exists new_id_idx',
    ],
    ['comments alone', '-- nothing\n/* at all; */ ;'],
    ['a new value of an enum', `alter type mood add value 'bad'`],
    [
      'a domain`s constraint that is not valid yet',
      'alter domain positive add constraint p check (value < 9) not valid',
    ],
    ['an index of nobody', 'drop index if exists no_such_index'],
    ['a foreign key of a new column', 'alter table orders add other int constraint other_fk references orders'],
  ])('%s', async (_, sql) => {
    expect(await found(sql)).toEqual([])
  })

  test('concurrently out of a transaction', async () => {
    const sql = 'create index concurrently i on orders (item); drop index concurrently j; reindex index concurrently i'
    expect(await found(sql, { transactional: false })).toEqual([])
  })

  test('a drop in a contract migration, and where no image runs', async () => {
    expect(await found('alter table orders drop column note', { phase: 'contract' })).toEqual([])
    expect(await found('alter table orders drop column note', {}, { hasPrevious: false })).toEqual([])
  })
})

test('how long it takes is told by the size: a small table is a note, behind a closed gate the pause is what gets longer', async () => {
  const sql = 'create index i on orders (item)'
  expect(await found(sql, {}, { longestMs: 60_000 })).toEqual(['note index-without-concurrently'])
  expect(await found(sql, {}, { isGateClosed: true })).toEqual(['warn index-without-concurrently'])
  const [open, closed] = [await reviewed([migration(sql)]), await reviewed([migration(sql)], { isGateClosed: true })]
  expect(open.findings[0]?.text).toMatch(/^orders: index i is built; writers wait for some \d+ ms at \d+\.\d kB$/)
  expect(closed.findings[0]?.text).toMatch(/; the pause gets longer by some \d+ ms at /)
})

test('without a database what depends on its size is a warning, and what does not is what it is', async () => {
  const sql =
    'create index i on orders (item); alter table orders drop column note; alter table orders add x uuid default gen_random_uuid()'
  const { findings } = await review([migration(sql)], STRICT)
  expect(findings.map(({ level, rule }) => `${level} ${rule}`)).toEqual([
    'warn index-without-concurrently',
    'stop breaks-previous-image',
    'warn volatile-default',
  ])
})

test('a table that somebody has locked is not waited for: its size is not known', async () => {
  const other = await openSession(database.target, { applicationName: 'somebody else' })
  await other.query('begin; lock table orders in access exclusive mode')
  expect(await found('create index i on orders (item)')).toEqual(['warn index-without-concurrently'])
  await other.end()
})

test('a partitioned table is as large as its partitions', async () => {
  await withSession(database.target, { applicationName: 'test prepare' }, (session) =>
    session.query('insert into parts select 1 from generate_series(1, 5000)'),
  )
  const { locks } = await reviewed([migration('alter table parts alter id set not null')])
  expect(locks[0]?.bytes).toBeGreaterThan(100_000)
})

test('each lock is told, with its table, its mode, and the work that is done under it', async () => {
  const { locks } = await reviewed([
    migration(
      'alter table orders add qty int;\nalter table sales.invoices add foreign key (id) references orders;\nupdate orders set item = upper(item)',
    ),
  ])
  expect(locks.map(({ line, table, mode, work }) => [line, table, mode, work])).toEqual([
    [1, 'orders', 'ACCESS EXCLUSIVE', 'brief'],
    [2, 'sales.invoices', 'SHARE ROW EXCLUSIVE', 'scan'],
    [2, 'orders', 'SHARE ROW EXCLUSIVE', 'brief'],
    [3, 'orders', 'ROW EXCLUSIVE', 'rows'],
  ])
})

test.each([
  ['using', 'alter table orders alter note type text using lower(note)', 'stop type-change-rewrites'],
  ['another collation', 'alter table orders alter note type text collate "C"', 'stop table-rewrite'],
  ['a check on a new column', 'alter table orders add qty int constraint q check (qty > 0)', 'stop constraint-scans'],
  ['a column of a domain with a check', 'alter table orders add qty positive', 'stop volatile-default'],
  [
    'a table that was there all the time',
    'create table if not exists orders (id int); create index i on orders (item)',
    'stop index-without-concurrently',
  ],
  [
    'a partition that is attached',
    'alter table parts attach partition orders for values from (20) to (30)',
    'stop constraint-scans',
  ],
  ['an index on a partitioned table', 'create index concurrently i on parts (id)', 'stop concurrently-in-transaction'],
  [
    'a value that may be the new one',
    `alter type mood add value 'bad'; insert into empty select 1 where 'bad'::mood is not null`,
    'warn enum-value-in-same-transaction',
  ],
  ['a table that gets another schema', 'alter table orders set schema sales', 'stop breaks-previous-image'],
  ['a type that gets another schema', 'alter type mood set schema sales', 'stop breaks-previous-image'],
  ['a value of an enum that is renamed', `alter type mood rename value 'good' to 'fine'`, 'stop breaks-previous-image'],
  [
    'a domain that gets a constraint',
    'alter domain positive add constraint p check (value < 9)',
    'warn constraint-scans',
  ],
  ['a domain that is validated', 'alter domain positive validate constraint p', 'warn constraint-scans'],
  ['an index that is dropped in front of everybody', 'drop index orders_pkey', 'note index-without-concurrently'],
  ['an index that is built anew', 'reindex index orders_pkey', 'stop index-without-concurrently'],
])('is found: %s', async (_, sql, what) => {
  expect(await found(sql)).toContain(what)
})

test.each([
  [
    'a helper table',
    'create temp table staging as select 1 as n; alter table staging drop column n; drop table staging',
  ],
  [
    'a table of its own, by two names',
    'create table public.fresh (a int, b int); alter table fresh drop column b; drop table public.fresh',
  ],
  [
    'a view and a function that are made anew',
    'drop view if exists v; create view v as select 1; drop function if exists fixed(); create function fixed() returns int language sql as $$select 2$$',
  ],
  [
    'not null, as it is advised',
    'alter table orders add constraint c check (item is not null) not valid; alter table orders validate constraint c; alter table orders alter item set not null',
  ],
  ['not null where it is so already', 'alter table orders alter id set not null'],
  ['one row', `update orders set item = 'x' where id = 1`],
  ['a few rows', `delete from orders where 'x' = item and orders.id in (1, 2, 3)`],
  ['rows that are named', `update orders o set item = v.item from (values (1, 'x')) v (id, item) where o.id = v.id`],
  ['a batch by its key', `update orders set item = 'x' where id between 1 and 100 and note is null`],
  ['a batch by two ends of it', `update orders set item = 'x' where id > 100 and 200 >= id`],
  ['a batch by a limit', 'delete from orders where id in (select id from orders where note is null limit 100)'],
  [
    'a batch by a limit beside it',
    `with part as (select id from orders limit 100) update orders o set item = 'x' from part where part.id = o.id`,
  ],
])('is not found: %s', async (_, sql) => {
  expect(await found(sql)).toEqual([])
})

test('a helper table of one migration does not hide the real one from the next', async () => {
  const { findings } = await reviewed([
    migration('create temp table orders (id int)', { version: '2' }),
    migration('create index i on orders (item)', { version: '3' }),
  ])
  expect(findings.map(({ version, rule }) => `${version} ${rule}`)).toEqual(['3 index-without-concurrently'])
})

test('what is the same a thousand times in a migration is said once', async () => {
  const { findings, locks } = await reviewed([migration('update orders set item = note;'.repeat(1_000))])
  expect([findings.length, locks.length]).toEqual([1, 1])
})

test('rows that are changed all at once, locks by hand, names by the server, code that cannot be read, no way down', async () => {
  expect(await found('update orders set item = upper(item)')).toEqual(['warn data-in-one-transaction'])
  expect(await found('lock table orders')).toEqual(['warn explicit-lock'])
  expect(await found('alter table empty add check (id > 0) not valid')).toEqual(['note unnamed-constraint'])
  expect(await found('do $$ begin null; end $$')).toEqual(['note not-read'])
  expect(await found('select 1', { hasDown: false })).toEqual(['note no-way-down'])
})

test.each([
  ['alter table empty add n int references orders', 'empty has constraints without a name: on n'],
  [
    'create table new (id int primary key, n int not null default 1 references orders check (n > 0), m int unique, check (m > n))',
    'new has constraints without a name: on n, m, the table',
  ],
  [
    'alter table empty add check (id > 0) not valid, add unique (id)',
    'empty has constraints without a name: on the table',
  ],
])('a constraint that the server names is told of: %s', async (sql, text) => {
  const { findings } = await reviewed([migration(sql)], { longestMs: 60_000 })
  expect(findings.filter(({ rule }) => rule === 'unnamed-constraint')).toMatchObject([{ level: 'note', text }])
})

test.each([
  'create table new (id int primary key, n int constraint n_fk references orders, constraint n_is check (n > 0))',
  'create temp table new (id int unique)',
  'alter table empty add n int constraint n_is check (n > 0), add primary key (id)',
])('what has its name, is a primary key, or goes with the session is not: %s', async (sql) => {
  expect(await found(sql, {}, { longestMs: 60_000 })).not.toContain('note unnamed-constraint')
})

test('where there is more than can be told, what stops is', async () => {
  const notes = Array.from({ length: 1_000 }, (_, n) => `create table t${n} (id int unique)`)
  const { findings } = await reviewed([migration([...notes, 'drop table orders'].join(';'))])
  expect(findings).toHaveLength(1_000)
  expect(findings.at(-1)).toMatchObject({ level: 'stop', rule: 'breaks-previous-image' })
})

test('a long migration is looked at, each finding with its line; what is too much for one release is told of, and the short ones are not', async () => {
  const line = `insert into empty values (1); -- ${'x'.repeat(70)}\n`
  const long = (version: string): PlannedMigration =>
    migration(`${line.repeat(10_000)}alter table orders drop column note`, { version })
  const began = performance.now()
  const { findings, unread } = await reviewed([
    ...['1', '2', '3', '4', '5'].map(long),
    migration(DROPS, { version: '6' }),
  ])
  expect(findings.map(({ version, rule, line: at }) => `${version}:${at} ${rule}`)).toEqual([
    ...['1', '2', '3', '4'].map((version) => `${version}:10001 breaks-previous-image`),
    '6:1 breaks-previous-image',
    '5:1 not-read',
  ])
  expect(unread).toEqual(['5'])
  expect(performance.now() - began).toBeLessThan(60_000)
})
const DROPS = 'alter table orders drop column note'

test.each([
  ['a condition', `update orders set item = 'x' where note is null`],
  ['a condition that any row may fulfil', `delete from orders where id = 1 or item = 'x'`],
  ['an open range', 'delete from orders where id > 100'],
  ['another table', 'update orders set item = i.id::text from sales.invoices i where i.id = orders.id'],
  ['a limit that is none of its rows', `delete from orders where item = (select item from orders limit 1)`],
])('rows that are changed at once by %s may be all of them: that is told where it would take long', async (_, sql) => {
  expect(await found(sql)).toEqual(['warn data-in-one-transaction'])
  expect(await found(sql, {}, { longestMs: 60_000 })).toEqual([])
  const { findings, locks } = await reviewed([migration(sql)])
  expect(findings[0]?.text).toMatch(
    /^orders: rows are \w+ at once, as many as the condition leaves; their rows are locked for up to \d+ ms at /,
  )
  expect(locks[0]).toMatchObject({ work: 'brief' })
  expect((await review([migration(sql)], STRICT)).findings, 'how large it is is not known').toEqual([])
})

test('a finding names the line of its statement, by characters and not by bytes', async () => {
  const { findings } = await reviewed([
    migration(`select 'äöü';\n\n-- drops it\n/* ; */ alter table orders\n drop column note`),
  ])
  expect(findings).toMatchObject([{ rule: 'breaks-previous-image', line: 4 }])
  const [broken] = (await reviewed([migration(`select 'äöü';\n  alter tabel orders`)])).findings
  expect(broken).toMatchObject({ rule: 'syntax', line: 2, text: 'syntax error at or near "tabel", column 9' })
})

describe('a finding is waived', () => {
  const DROP = 'alter table orders drop column note'
  const only = async (sql: string, options: Partial<ReviewOptions> = {}): Promise<Finding | undefined> =>
    (await reviewed([migration(sql)], options)).findings[0]

  test('in the file, with its reason', async () => {
    expect(
      await only(`-- headgate:waive breaks-previous-image: nobody reads it since release 7\n${DROP}`),
    ).toMatchObject({
      level: 'note',
      waived: 'nobody reads it since release 7',
    })
  })

  test('in the configuration, everywhere or in one migration', async () => {
    const waiver = { rule: 'breaks-previous-image' as const, reason: 'the image is told' }
    expect(await only(DROP, { waivers: [waiver] })).toMatchObject({ level: 'note', waived: 'the image is told' })
    expect(await only(DROP, { waivers: [{ ...waiver, version: '2' }] })).toMatchObject({ level: 'note' })
    expect(await only(DROP, { waivers: [{ ...waiver, version: '3' }] })).toMatchObject({ level: 'stop' })
  })

  test.each([
    ['without a reason', '-- headgate:waive breaks-previous-image:'],
    ['by another name', '-- headgate:waive breaks-previous-images: x'],
    ['of another rule', '-- headgate:waive syntax: x'],
  ])('not %s', async (_, comment) => {
    expect(await only(`${comment}\n${DROP}`)).toMatchObject({ level: 'stop' })
  })
})

test('SQL that no parser can take is a finding, and nothing breaks', async () => {
  for (const sql of ['select 1 \u0000', '\\connect other'])
    expect((await found(sql)).slice(0, 1)).toEqual(['stop syntax'])
  // That says nothing of what the server takes.
  for (const sql of [`select ${'('.repeat(100_000)}1`, `select 1${'+1'.repeat(200_000)}`])
    expect(await found(sql)).toEqual(['warn syntax'])
  expect(await found('select 1')).toEqual([])
})

test('a thousand migrations are looked at', async () => {
  const many = Array.from({ length: 1_000 }, (_, n) =>
    migration(`alter table orders add c${n} int`, { version: String(n) }),
  )
  expect((await reviewed(many)).locks).toHaveLength(1_000)
})

describe('an enum', () => {
  const ADDED = migration(`alter type mood add value 'bad'`, { version: '1' })
  const USED = migration(`insert into empty select 1 where 'bad'::mood is not null`)
  const rules = async (migrations: PlannedMigration[], options: Partial<ReviewOptions>): Promise<string[]> =>
    (await reviewed(migrations, options)).findings.map(({ version, rule }) => `${version} ${rule}`)

  test('whose new value a later migration of the same transaction uses is found', async () => {
    const use = '2 enum-value-in-same-transaction'
    expect(await rules([ADDED, USED], { sharesTransaction: true })).toEqual([use])
    expect(await rules([ADDED, USED], { sharesTransaction: false })).toEqual([])
    expect(await rules([ADDED, { ...USED, transactional: false }], { sharesTransaction: true })).toEqual([])
  })

  test('that its way down leaves is found', async () => {
    const made = migration(`create type size as enum ('s', 'm'); create table shirts (size size)`)
    const left = (down: string): Promise<string[]> => rules([made], { waysDown: new Map([['2', down]]) })
    expect(await left('drop table shirts')).toEqual(['2 enum-left-by-way-down'])
    expect(await left('drop table shirts; drop type public.size')).toEqual([])
    expect(await left('drop schema shop cascade')).toEqual([])
    expect(await left('do $$ begin drop type size; end $$')).toEqual([])
    expect(await rules([made], {})).toEqual([])
  })
})

test('what has no SQL is said not to be read', async () => {
  const { sql: _, ...unseen } = migration('')
  expect(await reviewed([unseen])).toEqual({ findings: [], locks: [], unread: ['2'] })
})

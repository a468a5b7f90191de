import { Client } from 'pg'

export async function connect(url: string, applicationName = 'checker'): Promise<Client> {
  const client = new Client({ connectionString: url, application_name: applicationName })
  client.on('error', () => {})
  await client.connect()
  return client
}

/** Each statement by itself, on one session. */
export async function execute(url: string, ...statements: string[]): Promise<void> {
  const client = await connect(url)
  for (const statement of statements) await client.query(statement)
  await client.end()
}

/** The same server, another database. */
export function elsewhere(url: string, database = 'postgres'): string {
  const other = new URL(url)
  other.pathname = `/${encodeURIComponent(database)}`
  return other.href
}

import { size } from '../../domain/amounts.js'
import { LONGEST_SQL, type Migration } from '../../domain/migration.js'

/** A migration's SQL as it is kept; of one that is too long, that. */
export const readSql = (sql: string): Pick<Migration, 'sql' | 'unread'> =>
  sql.length <= LONGEST_SQL
    ? { sql }
    : {
        unread: {
          text: `it is ${size(sql.length)} long, and up to ${size(LONGEST_SQL)} are read`,
          line: 1,
          isCertain: false,
        },
      }

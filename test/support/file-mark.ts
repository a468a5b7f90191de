import { randomBytes } from 'node:crypto'

/** In the names of what a file of tests makes on the shared servers. Not its pid: those come again within one run of the suite. */
export const FILE_MARK = randomBytes(4).toString('hex')

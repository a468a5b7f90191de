import { readFileSync } from 'node:fs'

/** The megabytes that a process keeps in memory. Throws where there is no such process. */
export function residentMegabytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) / 1024
}

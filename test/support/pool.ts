/** Which of the files that run beside each other this is, from 0. */
export const besideOthers = (): number => Number(process.env.VITEST_POOL_ID ?? 1) - 1

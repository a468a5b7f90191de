import { DefaultFailureConverter } from '@temporalio/common'

/** Used where payloads are encrypted: what a failure says is a payload then, and encrypted with the others. */
export const failureConverter = new DefaultFailureConverter({ encodeCommonAttributes: true })

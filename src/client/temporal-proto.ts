// A CommonJS package whose named exports Node cannot see from an ES module.
import proto from '@temporalio/proto'

export const { temporal } = proto

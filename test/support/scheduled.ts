import { proxySinks, type Sinks, type WorkflowInterceptorsFactory } from '@temporalio/workflow'

export interface ScheduledSinks extends Sinks {
  scheduled: {
    activity(name: string, args: unknown[]): void
  }
}

const { scheduled } = proxySinks<ScheduledSinks>()

/** Tells a test with which arguments the workflow calls its activities: a replay compares their names alone. */
export const interceptors: WorkflowInterceptorsFactory = () => ({
  outbound: [
    {
      scheduleActivity(input, next) {
        scheduled.activity(input.activityType, input.args)
        return next(input)
      },
    },
  ],
})

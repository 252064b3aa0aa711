/** Whether a suite is named by its file; else it is one that comes with Amalgam. */
export const isSuiteFile = (named: string): boolean => /[/\\]|\.ya?ml$/i.test(named);

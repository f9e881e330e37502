/** Files to start from: shipped plans whose models are given by their shape, so that nothing has to be read. */
import pod from '../../../plans/pod.plan?raw';
import seesaw from '../../../plans/seesaw-70b.plan?raw';
import small from './small.plan?raw';

export const examples: readonly { readonly name: string; readonly text: string }[] = [
  { name: 'small', text: small },
  { name: 'seesaw-70b', text: seesaw },
  { name: 'pod', text: pod },
];

// What the pages say that stand in front: the login, the frame, the overview, the
// list of instances and the first visit. All others have the whole catalogue; see
// text/index.ts.
import { common } from './common';
import { deploy } from './deploy';
import { error } from './error';
import { instance } from './instance';
import { job } from './job';
import { login } from './login';
import { nav } from './nav';
import { node } from './node';
import { onboarding } from './onboarding';
import { overview } from './overview';
import { state } from './state';

export const front = { common, deploy, error, instance, job, login, nav, node, onboarding, overview, state };

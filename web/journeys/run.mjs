// Every journey, one after the other: node web/journeys/run.mjs, with
// --test-name-pattern=… in front of the file only some. It wants the programs in
// bin, Chromium, and a Docker Engine: see CONTRIBUTING.md.
import './first.mjs';
import './people.mjs';
import './oidc.mjs';
import './instances.mjs';
import './files.mjs';
import './hostile.mjs';
import './nodes.mjs';
import './https.mjs';
import './mail.mjs';
import './catalogue.mjs';
import './slow.mjs';
import './look.mjs';
import './weight.mjs';

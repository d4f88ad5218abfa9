// Pieces that more than one feature's pages are made of and that know the API:
// ui doesn't, and a feature knows no other.
export { JobLive } from './JobLive';
export { NodeCommand } from './NodeCommand';
export { UserName, UserSelect } from './UserSelect';
export { bodyOf, emptyForm, withImage, type DeployForm } from './deploy';
export { LimitFields, PortFields, VariableFields } from './DeployFields';
export { ImagePicker } from './ImagePicker';
export { useProof, type Guard } from './proof';

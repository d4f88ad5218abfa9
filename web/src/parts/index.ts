// Pieces that more than one feature's pages are made of and that know the API:
// ui doesn't, and a feature knows no other.
export { JobLive } from './JobLive';
export { NodeCommand } from './NodeCommand';
export { NodeName } from './NodeName';
export { NodeSelect, useTakingNodes } from './NodeSelect';
export { UserName, UserSelect } from './UserSelect';
export { bodyOf, emptyForm, referenceChoices, withImage, type DeployForm } from './deploy';
export { ChoiceFields, LimitFields, PortFields, PresetField, VariableFields } from './DeployFields';
export { InstanceLink, namesOf, withNames, type Names } from './InstanceLink';
export { ImageIcon } from './ImageIcon';
export { ImagePicker } from './ImagePicker';
export { isRequired, isSecret, type Variable } from './rules';
export { keepsRules, VariableForm } from './VariableForm';
export { useProof, type Guard } from './proof';

// Functions that the genuine torch_npu must find when it is loaded and that nothing here calls. One
// that is called after all ends the process with its name.
#include "runtime.h"

#define NT_LINK_ONLY(name)     \
    NT_EXPORT void name(void); \
    NT_EXPORT void name(void) { acl_stand_in::stop("%s was called, which is not modelled", #name); }

NT_LINK_ONLY(MsprofGetHashId)
NT_LINK_ONLY(MsprofRegisterCallback)
NT_LINK_ONLY(MsprofReportAdditionalInfo)
NT_LINK_ONLY(MsprofReportApi)
NT_LINK_ONLY(MsprofReportCompactInfo)
NT_LINK_ONLY(MsprofSysCycleTime)
NT_LINK_ONLY(aclCreateDataBuffer)
NT_LINK_ONLY(aclCreateTensorDesc)
NT_LINK_ONLY(aclDestroyDataBuffer)
NT_LINK_ONLY(aclDestroyTensorDesc)
NT_LINK_ONLY(aclGetTensorDescDimV2)
NT_LINK_ONLY(aclGetTensorDescFormat)
NT_LINK_ONLY(aclGetTensorDescNumDims)
NT_LINK_ONLY(aclGetTensorDescType)
NT_LINK_ONLY(aclSetTensorDescName)
NT_LINK_ONLY(aclSetTensorFormat)
NT_LINK_ONLY(aclSetTensorPlaceMent)
NT_LINK_ONLY(aclSetTensorShape)
NT_LINK_ONLY(aclmdlFinalizeDump)
NT_LINK_ONLY(aclmdlInitDump)
NT_LINK_ONLY(aclmdlSetDump)
NT_LINK_ONLY(aclopCreateAttr)
NT_LINK_ONLY(aclopDestroyAttr)
NT_LINK_ONLY(aclopSetAttrBool)
NT_LINK_ONLY(aclopSetAttrDataType)
NT_LINK_ONLY(aclopSetAttrFloat)
NT_LINK_ONLY(aclopSetAttrInt)
NT_LINK_ONLY(aclopSetAttrListBool)
NT_LINK_ONLY(aclopSetAttrListFloat)
NT_LINK_ONLY(aclopSetAttrListInt)
NT_LINK_ONLY(aclopSetAttrListListInt)
NT_LINK_ONLY(aclopSetAttrString)
NT_LINK_ONLY(aclrtBinaryGetFunction)
NT_LINK_ONLY(aclrtBinaryLoadFromData)
NT_LINK_ONLY(aclrtDeviceGetBareTgid)
NT_LINK_ONLY(aclrtFreePhysical)
NT_LINK_ONLY(aclrtGetFunctionAddr)
NT_LINK_ONLY(aclrtMallocPhysical)
NT_LINK_ONLY(aclrtMapMem)
NT_LINK_ONLY(aclrtMemExportToShareableHandle)
NT_LINK_ONLY(aclrtMemImportFromShareableHandle)
NT_LINK_ONLY(aclrtMemSetPidToShareableHandle)
NT_LINK_ONLY(aclrtProcessReport)
NT_LINK_ONLY(aclrtReleaseMemAddress)
NT_LINK_ONLY(aclrtReserveMemAddress)
NT_LINK_ONLY(aclrtUnmapMem)
NT_LINK_ONLY(rtDevBinaryRegister)
NT_LINK_ONLY(rtFunctionRegister)
NT_LINK_ONLY(rtGetC2cCtrlAddr)
NT_LINK_ONLY(rtKernelLaunch)

// The interface of operators before aclnn; torch_npu asks for it where libopapi.so lacks one.
NT_EXPORT aclError aclopCompileAndExecute(const char* name) {
    acl_stand_in::stop("operator %s was called, which is not modelled", name);
}
